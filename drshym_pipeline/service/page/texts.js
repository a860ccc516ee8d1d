/** Words and numbers for people: errors, kinds of files, dates, sizes. */

const OPEN_WATER = "open water, flood not separated";

// What people can do about an error. The sentences of the API for these codes are for programs: they name its addresses.
// All other sentences are for both.
const PROBLEMS = {
  foreign_origin: "The service accepts this only from its own page. Open the page at the address of the service.",
  job_ended: "The scene has been mapped already, so this cannot be cancelled. You can delete its map.",
  no_web_map: "A web map cannot show this scene. Open it again to see its plain picture.",
  not_found: "The service does not have this. Load the page again.",
  outside_scene: "This place is outside the map.",
  pictures_late: "The picture was not drawn in time. Move the map, or try again.",
  read_only_scene: "Dagster has made this map, and the service only shows it. It cannot be deleted here.",
  token_needed: "The service needs its token. Load the page again, and enter it.",
  too_many_requests: "Too many requests came from this machine. Wait a minute, then try again.",
  unknown_file: "The map does not have this file. Load the page again.",
  unknown_job: "The service no longer knows this upload. Look whether its map is in the list, or upload it again.",
  unknown_layer: "The map does not have this layer. Load the page again.",
  unknown_scene: "There is no such map. It may have been deleted.",
  unknown_tile: "The map has no picture of this place.",
};

/** Return the sentence for an error of the service, by its code; `detail` is the sentence of the API. */
export const problemText = (code, detail) => PROBLEMS[code] ?? detail;

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

/** Return when the scene was acquired, as a phrase. Exactly midnight is a day whose time is not known, as in the caption. */
export function acquiredText(summary) {
  if (!summary.acquired_at) return "Date not known";
  const time = new Date(summary.acquired_at).toISOString();
  return `Acquired ${time.endsWith("T00:00:00.000Z") ? time.slice(0, 10) : timeText(time)}`;
}

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

/** Return a share such as `12.3 %`. A small share is not shown as nothing, nor a large one as everything. */
export function shareText(share) {
  const text = (100 * share).toFixed(1);
  if (share > 0 && text === "0.0") return "less than 0.1 %";
  if (share < 1 && text === "100.0") return "more than 99.9 %";
  return `${text} %`;
}

/** Return the mapped area with its interval; an area is never shown without one. */
export function areaText(summary) {
  const what = summary.water_separated ? "flooded" : OPEN_WATER;
  return summary.flooded ? `${summary.flooded.text}: ${what}` : "No area: nothing was observed, or all ground is excluded.";
}
