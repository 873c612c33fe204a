/**
 * Reports on a search: their data, and the page.
 *
 * @module torchsearch/report
 */
export {
  type ReportChange,
  type ReportCosts,
  type ReportData,
  type ReportDensity,
  type ReportFormats,
  type ReportMeasurement,
  type ReportOperator,
  type ReportProgress,
  type ReportRating,
  type ReportSensitivity,
  type ReportWidth,
  type RunFacts,
  readReportData,
  renderReport,
  writeReport,
} from "../report";
