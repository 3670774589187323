// "system", "light" or "dark". The choice stands as data-theme on <html>; tokens.css does the rest.
import { effect, signal } from "./html.js";
import { lasting } from "./storage.js";

const THEMES = ["system", "light", "dark"];
const chosen = lasting.get("theme");

export const theme = signal(THEMES.includes(chosen) ? chosen : "system");

/** Counts up whenever colours change: charts draw themselves anew. */
export const palette = signal(0);

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
}

/** A colour of tokens.css as it is now: color("--accent"). */
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
