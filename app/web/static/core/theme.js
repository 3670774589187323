// The theme: "system", "light" or "dark". It is set as data-theme on <html>, which tokens.css reads.
import { effect, signal } from "./html.js";
import { lasting } from "./storage.js";

const THEMES = ["system", "light", "dark"];
const chosen = lasting.get("theme");

export const theme = signal(THEMES.includes(chosen) ? chosen : "system");

/** Increases whenever colours change, so that charts are redrawn. */
export const palette = signal(0);

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
}

/** Returns the current value of a colour in tokens.css: color("--accent"). */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

effect(() => {
  const { dataset } = document.documentElement;
  if (theme.value === "system") delete dataset.theme;
  else dataset.theme = theme.value;
  lasting.set("theme", theme.value === "system" ? null : theme.value);
  palette.value = palette.peek() + 1;
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (palette.value = palette.peek() + 1));
