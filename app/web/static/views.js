// The views, in the order of the navigation. To add one, see README.md beside this folder.
import { ClassifyView } from "./views/classify/index.js";
import { EmbedView } from "./views/embed/index.js";
import { EvaluateView } from "./views/evaluate/index.js";
import { FilesView } from "./views/files/index.js";
import { FillView } from "./views/fill/index.js";
import { JobsView } from "./views/jobs/index.js";
import { ModelsView } from "./views/models/index.js";
import { ReconstructView } from "./views/reconstruct/index.js";
import { TokensView } from "./views/tokens/index.js";

export const VIEWS = [
  { id: "fill", title: "Fill", component: FillView },
  { id: "reconstruct", title: "Reconstruct", component: ReconstructView },
  { id: "embed", title: "Embed", component: EmbedView },
  { id: "classify", title: "Classify", component: ClassifyView },
  { id: "tokens", title: "Tokens", component: TokensView },
  { id: "evaluate", title: "Evaluate", component: EvaluateView },
  { id: "jobs", title: "Jobs", component: JobsView },
  { id: "files", title: "Files", component: FilesView },
  { id: "models", title: "Models", component: ModelsView },
];
