/**
 * Profiles of a model, tables of latencies, and the metrics.
 *
 * @module torchsearch/profile
 */
export { type FormatProfileOptions, formatProfile } from "../profile/format";
export {
  type LatencyConditions,
  type LatencyEntry,
  type LatencyPoint,
  LatencyTable,
  type LatencyTableJson,
} from "../profile/latency-table";
export {
  type ComputedMetricOf,
  computedMetricsOf,
  formatCost,
  METRIC_NAMES,
  METRICS,
  type MetricName,
  type MetricOf,
  type MetricOwner,
  metricsOf,
} from "../profile/metrics";
export { profile } from "../profile/profile";
export type {
  LatencyProfile,
  OperatorProfile,
  Profile,
  ProfileMetric,
  ProfileOptions,
} from "../profile/types";
