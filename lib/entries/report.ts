/**
 * Reports on a search: their data, and the page.
 *
 * @module torchsearch/report
 */
export {
  type ReportCosts,
  type ReportData,
  type ReportDensity,
  type ReportFormats,
  type ReportMeasurement,
  type ReportOperator,
  type ReportSensitivity,
  type ReportWidth,
  readReportData,
  renderReport,
  writeReport,
} from "../report";
