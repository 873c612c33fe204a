/** Walks the reference document member by member: each has its counterpart here, and the counterpart does its job. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { BaseSearcher } from "../../lib/contract/base";
import { FakeModel, type TrialConfig, TrialSearcher, type TrialState } from "./doubles";

const text = readFileSync(path.join(__dirname, "reference/searcher-doc.txt"), "utf8");

/** Members that the document's text shows only by their description; their headings were lost in it. */
const NAMELESS: Record<string, string> = {
  "Optional post-processing steps after the search.": "after_search",
  "Optional pre-processing steps before the search.": "before_search",
  "Reset search at the beginning.": "reset_search",
  "Run actual search.": "run_search",
};

interface Member {
  name: string;
  isFinal: boolean;
  isAbstract: boolean;
  isProperty: boolean;
  parameters: string[];
}

function membersOf(document: string): Map<string, Member> {
  const members = new Map<string, Member>();
  const body = document.slice(document.indexOf("class BaseSearcher\n"));
  for (const line of body.split("\n").slice(1)) {
    const nameless = NAMELESS[line.trim()];
    const match = /^((?:(?:final|abstract|property) )*)([a-z_]+)(?:\((.*)\)$|: )/.exec(line);
    const name = nameless ?? match?.[2];
    if (name === undefined) continue;
    const words = match?.[1] ?? "";
    members.set(name, {
      name,
      isFinal: words.includes("final"),
      isAbstract: words.includes("abstract") || name === "run_search",
      isProperty: nameless === undefined && (words.includes("property") || match?.[3] === undefined),
      parameters: (match?.[3] ?? "")
        .split(",")
        .map((parameter) => parameter.split("=")[0]!.trim())
        .filter(Boolean),
    });
  }
  return members;
}

const members = membersOf(text);
const camel = (name: string): string =>
  name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const quiet: Partial<TrialConfig> = { trials: 2, verbose: false };

async function searched(
  config: Partial<TrialConfig> = {},
): Promise<{ searcher: TrialSearcher; model: FakeModel }> {
  const searcher = new TrialSearcher();
  const model = new FakeModel();
  await searcher.search(model, { flops: "60%" }, [1, { mask: 2 }], { ...quiet, ...config });
  return { searcher, model };
}

/** What each member of the document has to do, done. */
const exercises: Record<string, () => void | Promise<void>> = {
  __init__: () => {
    class Overridden extends TrialSearcher {
      constructor(readonly option: string) {
        super();
      }
    }
    expect(() => new Overridden("x")).toThrow(expect.objectContaining({ code: "ERR_FINAL_MEMBER" }));
  },
  config: async () => {
    const { searcher } = await searched({ seed: 3 });
    expect(searcher.config).toEqual({ ...searcher.defaultSearchConfig, ...quiet, seed: 3 });
  },
  constraints: async () => {
    expect((await searched()).searcher.constraints).toEqual({ flops: "60%" });
  },
  deployment: async () => {
    expect((await searched()).searcher.deployment).toBeNull();
    expect((await searched({ deployment: { runtime: "cpu" } })).searcher.deployment).toEqual({
      runtime: "cpu",
    });
  },
  dummy_input: async () => {
    expect((await searched()).searcher.dummyInput).toEqual([1, { mask: 2 }]);
  },
  forward_loop: async () => {
    expect((await searched()).searcher.forwardLoop).toBeNull();
    const { searcher, model } = await searched({ dataLoader: [[4, "label"]] });
    await searcher.forwardLoop?.(model);
    expect(model.calls).toEqual([[4]]);
  },
  model: async () => {
    const { searcher, model } = await searched();
    expect(searcher.model).toBe(model);
  },
  construct_forward_loop: async () => {
    const { searcher, model } = await searched({ dataLoader: [[1], [2], [3]] });
    const outputs: unknown[] = [];
    const loop = searcher.constructForwardLoop({
      silent: true,
      progressBarMsg: "Calibrating",
      maxIterDataLoader: 2,
      postProcessFn: (output) => {
        outputs.push(output);
      },
    });
    await loop?.(model);
    expect(outputs).toEqual([2, 4]);
  },
  default_search_config: () => {
    const base = new (class extends BaseSearcher {
      get defaultStateDict() {
        return {};
      }
      runSearch(): void {}
    })();
    const { verbose, signal, onProgress, seed, ...others } = base.defaultSearchConfig;
    expect({ verbose, signal, onProgress, seed }).toEqual({
      verbose: true,
      signal: null,
      onProgress: null,
      seed: 0,
    });
    expect(Object.values(others)).toEqual(Object.keys(others).map(() => null));
  },
  default_state_dict: () => {
    expect(new TrialSearcher().defaultStateDict).toEqual({ best: null, history: [] });
  },
  eval_score: async () => {
    const { searcher } = await searched({ scoreFunc: (_, context) => (context?.silent ? 1 : 2) });
    expect(await searcher.evalScore()).toBe(1);
    expect(await searcher.evalScore(false)).toBe(2);
  },
  has_score: async () => {
    expect((await searched()).searcher.hasScore).toBe(false);
    expect((await searched({ scoreFunc: () => 1 })).searcher.hasScore).toBe(true);
  },
  load_search_checkpoint: () => roundTrip("load"),
  save_search_checkpoint: () => roundTrip("save"),
  before_search: async () => {
    expect((await searched()).searcher.steps[0]).toBe("beforeSearch");
  },
  run_search: async () => {
    expect((await searched()).searcher.steps[1]).toBe("runSearch");
  },
  after_search: async () => {
    expect((await searched()).searcher.steps[2]).toBe("afterSearch");
  },
  reset_search: async () => {
    const { searcher } = await searched();
    expect(searcher.stateDict().history).toHaveLength(2);
    searcher.resetSearch();
    expect(searcher.stateDict()).toEqual(searcher.defaultStateDict);
  },
  sanitize_search_config: () => {
    const searcher = new TrialSearcher();
    expect(searcher.sanitizeSearchConfig(null)).toEqual(searcher.defaultSearchConfig);
    expect(searcher.sanitizeSearchConfig({ trials: 4 })).toEqual({
      ...searcher.defaultSearchConfig,
      trials: 4,
    });
  },
  search: async () => {
    const model = new FakeModel();
    const { subnet, stateDict } = await new TrialSearcher().search(model, { flops: "60%" }, null, quiet);
    expect(subnet).toBe(model);
    // The types reach the caller: no cast is needed.
    const state: TrialState = stateDict;
    const searchedModel: FakeModel = subnet;
    expect(searchedModel.training).toBe(true);
    expect(state.best?.score).toBe(Math.max(...state.history));
  },
  state_dict: async () => {
    const { searcher } = await searched();
    expect(Object.keys(searcher.stateDict())).toEqual(Object.keys(searcher.defaultStateDict));
  },
};

async function roundTrip(which: "load" | "save"): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "torchsearch-"));
  try {
    const checkpoint = path.join(folder, "state.safetensors");
    const { searcher } = await searched();
    await searcher.saveSearchCheckpoint(); // none is named: nothing happens
    searcher.config = { ...searcher.config, checkpoint };
    expect(await searcher.loadSearchCheckpoint()).toBe(false);
    await searcher.saveSearchCheckpoint();
    expect(existsSync(checkpoint)).toBe(true);
    if (which === "save") return;
    const before = searcher.stateDict();
    const random = searcher.random.state;
    searcher.resetSearch();
    searcher.random.float();
    expect(await searcher.loadSearchCheckpoint()).toBe(true);
    expect(searcher.stateDict()).toEqual(before);
    expect(searcher.random.state).toEqual(random);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the reference document", () => {
  it("is read: 21 members, four of them by description, three final, two abstract", () => {
    const all = [...members.values()];
    expect(all).toHaveLength(21);
    expect(all.filter(({ isFinal }) => isFinal).map(({ name }) => name)).toEqual([
      "__init__",
      "search",
      "state_dict",
    ]);
    expect(all.filter(({ isAbstract }) => isAbstract).map(({ name }) => name)).toEqual([
      "default_state_dict",
      "run_search",
    ]);
    expect([...members.keys()].sort()).toEqual(Object.keys(exercises).sort());
  });

  it.each([...members.values()])("$name exists in camelCase", ({ name, isProperty }) => {
    if (name === "__init__") return expect(BaseSearcher.prototype.constructor).toBe(BaseSearcher);
    const searcher = new TrialSearcher();
    searcher.model = new FakeModel();
    expect(camel(name) in searcher).toBe(true);
    const member = searcher[camel(name) as keyof TrialSearcher] as unknown;
    expect(typeof member === "function").toBe(!isProperty);
  });

  it.each([...members.keys()])("%s does its job", async (name) => {
    await exercises[name]!();
  });

  it("has the parameters of the document, in camelCase", () => {
    expect(members.get("construct_forward_loop")?.parameters.map(camel)).toEqual([
      "silent",
      "progressBarMsg",
      "maxIterDataLoader",
      "postProcessFn",
    ]);
    const source = BaseSearcher.prototype.search.toString();
    const declared = source.slice(source.indexOf("(") + 1, source.indexOf(")")).split(",");
    expect(declared.map((parameter) => parameter.split("=")[0]!.trim())).toEqual(
      members.get("search")?.parameters.map(camel),
    );
    expect(members.get("sanitize_search_config")?.parameters).toEqual(["config"]);
    expect(members.get("eval_score")?.parameters).toEqual(["silent"]);
  });
});
