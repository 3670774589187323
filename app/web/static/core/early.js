// Runs before the first paint, so that the other theme never flashes.
(() => {
  try {
    const theme = localStorage.getItem("cloze.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // storage may be forbidden: use the system's theme
  }
})();
