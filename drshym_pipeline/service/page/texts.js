/** Words and numbers for people: stages of a job, kinds of files, dates, sizes. */

const OPEN_WATER = "open water, flood not separated";

const STAGES = {
  describe: "reading the scene",
  stage: "preparing the backscatter",
  predict: "computing the probability of water",
  stitch: "drawing the map",
};

/** Return what a worker does, from the name of the stage. */
export const stageText = (stage) => (stage ? STAGES[stage] ?? stage : "starting");

// The end of a file's name, and what the file is.
const FILES = [
  ["_mask.tif", "Mask: GeoTIFF with the state of every pixel"],
  ["_mask.qml", "Style of the mask for QGIS"],
  ["_flood_proba.tif", "Probability of flood: GeoTIFF"],
  ["_proba.tif", "Probability of water: GeoTIFF"],
  ["_reference.tif", "Probability of water before: GeoTIFF"],
  ["_exclusion.tif", "Ground excluded because of the terrain: GeoTIFF"],
  ["_backscatter_before.tif", "Radar image from before: GeoTIFF, dB"],
  ["_backscatter.tif", "Radar image: GeoTIFF, dB"],
  ["_overlay.png", "Figure for reports: map, legend and scale bar"],
  ["_thumbnail.png", "Small picture of the map"],
  ["_flood.geojson", "Polygons of the mapped water: GeoJSON, WGS84"],
  ["_caption.txt", "Caption and warnings: text"],
  ["_report.html", "Report page"],
  ["_report.json", "Record of the map: JSON"],
];

/** Return what a file of a map is, from the end of its name. */
export const fileText = (name) => FILES.find(([end]) => name.endsWith(end))?.[1] ?? "Other file";

/** Return a date such as `2021-01-11 12:34 UTC`. */
export function timeText(iso) {
  const time = new Date(iso);
  return `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** Return when the scene was acquired, as a phrase. */
export const acquiredText = (summary) => (summary.acquired_at ? `Acquired ${timeText(summary.acquired_at)}` : "Date not known");

/** Return a size such as `3.2 MB`. */
export function sizeText(bytes) {
  const units = ["bytes", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Return a number with a fixed number of decimals and its unit (with the space before it), or null where there is no value. */
export function numberText(value, decimals, unit = "") {
  if (value === null || value === undefined) return null;
  return `${value.toFixed(decimals)}${unit}`;
}

/** Return what a state of the mask means, in the words of the products. */
export function stateText(name, summary) {
  const words = { permanent: "water that was there before", excluded: "excluded (terrain)", not_observed: "not observed" };
  if (name === "flooded" && !summary.water_separated) return OPEN_WATER;
  return words[name] ?? name;
}

/** Return the mapped area with its interval; an area is never shown without one. */
export function areaText(summary) {
  const what = stateText("flooded", summary);
  return summary.flooded ? `${summary.flooded.text}: ${what}` : "No area: nothing was observed, or all ground is excluded.";
}
