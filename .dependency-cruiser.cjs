// One direction in lib/: a room may import from itself and from the rooms before it in ROOMS, bottom first.
// docs/architecture.md says what lives in each. `npm run lint` checks it.
const ROOMS = [
  "errors\\.ts",
  "util/",
  "native/",
  "model/",
  "data/",
  "profile/",
  "evaluation/",
  "distributed/",
  "contract/",
  "space/",
  "quantization/",
  "sparsity/",
  "search/solver/",
  "search/width/",
  "search/sparse/",
  "search/format/",
  "mode/",
  "finetune/",
  "compress/",
  "report/",
  "setup/",
  "cli/",
  "entries/",
];

/** What runs without being imported: the package's entry points, the command, threads. */
const ENTRY_POINTS =
  "^lib/(index\\.ts|entries/|cli/main\\.ts|report/render-thread\\.ts|data/image-thread\\.ts)";

const within = (rooms) => `^lib/(${rooms.join("|")})`;

/** @type {import("dependency-cruiser").IConfiguration} */
module.exports = {
  forbidden: [
    ...ROOMS.slice(0, -1).map((room, at) => ({
      name: `up-from-${room.replace(/\W+$/, "").replaceAll("/", "-").replace("\\.ts", "")}`,
      comment: "A room imports from itself and from the rooms below it only.",
      severity: "error",
      from: { path: within([room]) },
      to: { path: `^lib/(${ROOMS.slice(at + 1).join("|")}|index\\.ts)` },
    })),
    {
      name: "no-cycle",
      comment: "Files that import each other are one file, or need a third below both.",
      severity: "error",
      from: { path: "^lib/" },
      to: { circular: true },
    },
    {
      name: "every-room-has-a-place",
      comment: "A new room is added to ROOMS.",
      severity: "error",
      from: { path: "^lib/", pathNot: `${within(ROOMS)}|^lib/index\\.ts$` },
      to: {},
    },
    {
      name: "native-door",
      comment: "The addon is loaded by lib/native alone; others call what it exports.",
      severity: "error",
      from: { path: "^lib/", pathNot: "^lib/native/" },
      to: { path: "\\.node$|^build/" },
    },
    {
      name: "addon-by-functions",
      comment:
        "addon() is called in lib/native alone. The rooms call its typed functions, such as native/evaluate.",
      severity: "error",
      from: { path: "^lib/", pathNot: "^lib/native/" },
      to: { path: "^lib/native/addon\\.ts$" },
    },
    {
      name: "nothing-is-forgotten",
      comment:
        "Every file is used by an entry point, the command or a thread: a chart, say, has a place in the page.",
      severity: "error",
      from: { path: ENTRY_POINTS },
      to: { path: "^lib/", pathNot: ENTRY_POINTS, reachable: false },
    },
    {
      name: "tests-stay-outside",
      comment: "The library imports nothing of its tests, scripts or benchmarks.",
      severity: "error",
      from: { path: "^lib/" },
      to: { path: "^(test|scripts|bench|examples|dist)/" },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
  },
};
