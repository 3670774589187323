import "./core/theme.js";
import { html, render } from "./core/html.js";
import { Shell } from "./ui/shell.js";

const place = document.getElementById("page");
place.textContent = "";
render(html`<${Shell} />`, place);
