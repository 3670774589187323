// The page's location: `#/view/segment?name=value`. It is in the fragment, so that a link can be shared
// and its content, such as a text, is never sent to a server in a URL.
import { signal } from "./html.js";

const START = "fill";

/** "#/view/segment?name=value" → {view, segments, params} */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [view, ...segments] = path.split("/").map(decode);
  return {
    view: view || START,
    segments: segments.filter(Boolean),
    params: Object.fromEntries(new URLSearchParams(query)),
  };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray percent sign
  }
}

/** The current location: {view, segments, params}. */
export const route = signal(parse(location.hash));

/** Builds a link into the page: link("jobs", ["ftjob-1"], {tab: "log"}). Omits empty params. */
export function link(view, segments = [], params = {}) {
  const path = [view, ...segments].map(encodeURIComponent).join("/");
  const given = Object.entries(params).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return `#/${path}${query && `?${query}`}`;
}

/** Navigates to another location, like a click on its link. */
export function navigate(view, segments = [], params = {}) {
  write();
  due = null;
  location.hash = link(view, segments, params);
}

/** Writes the view's state into the URL without a history entry. Delays the write if the last one was recent. */
export function setParams(params) {
  const { view, segments } = route.peek();
  const hash = link(view, segments, params);
  if (hash === (due ?? known)) return;
  due = hash;
  route.value = parse(hash);
  if (timer === null) writeOrWait();
}

const PACE = 350; // ms; Safari throws after 100 URL changes in 30 seconds, which a brush stroke soon reaches

let known = location.hash; // the hash that `route` reflects
let due = null; // the hash to write
let timer = null;
let last = -PACE;

function writeOrWait() {
  timer = null;
  const wait = last + PACE - performance.now();
  if (wait <= 0) write();
  if (due !== null) timer = setTimeout(writeOrWait, wait > 0 ? wait : PACE);
}

function write() {
  if (due === null) return;
  last = performance.now();
  if (location.hash === known) {
    try {
      history.replaceState(null, "", due);
      known = location.hash;
    } catch {
      return; // the browser limits changes: try again later
    }
  }
  due = null; // also while the page navigates away, because the new URL belongs to another view
}

addEventListener("click", write, { capture: true }); // a click may copy the URL or leave the page
addEventListener("pagehide", write);
addEventListener("hashchange", () => {
  due = null;
  known = location.hash;
  route.value = parse(known);
});
