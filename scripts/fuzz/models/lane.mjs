// One line of work: a Python process that makes and judges models, and a Node process that searches them.
import { mkdirSync } from "node:fs";
import path from "node:path";

import { root } from "../../lib/run.mjs";
import { PythonService } from "../../zoo/python-service.mjs";
import { NativeChild } from "./native-child.mjs";

const SERVE = path.join(root, "scripts", "fuzz", "models", "serve.py");
const LIMITS = { seconds: 120, bytes: 4 * 2 ** 30 };

export class Lane {
  #python;
  #native;
  #folder;
  #count = 0;

  /** @param {{ python: string, env: Record<string, string>, folder: string }} options */
  constructor({ python, env, folder }) {
    this.#python = new PythonService([python, "-B", SERVE]);
    this.#native = new NativeChild(env);
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  async #ask(request) {
    const answer = await this.#python.ask(request, LIMITS);
    if (answer.failure) throw new Error(`Python: ${answer.failure.code}: ${answer.failure.message}`);
    return answer;
  }

  /** @param {boolean} known whether what is known to fail is drawn, too */
  async draw(seed, index, known) {
    return (await this.#ask({ op: "draw", seed, index, known })).tree;
  }

  /** A sentence for each known fault, which draw() leaves out. */
  async known() {
    return (await this.#ask({ op: "known" })).known;
  }

  async smaller(tree) {
    return (await this.#ask({ op: "shrink", tree })).trees;
  }

  /**
   * Makes a tree's model and holds it against all oracles.
   *
   * @returns `{ invalid }` where the tree is no model, or faults and what else was seen
   */
  async check(tree, { randoms = 2, keep = false } = {}) {
    const folder = path.join(this.#folder, `m${this.#count++}`);
    const made = await this.#ask({ op: "make", tree, folder });
    if (made.invalid !== undefined) return { invalid: made.invalid };
    const { file, inputs, source, shapes } = made;
    const request = { file, inputs, folder, divisor: tree.divisor, seed: tree.seed, randoms };
    const { subnets, faults, ...rest } = await this.#native.run(request);
    let judged = { faults: [], skipped: [] };
    try {
      if (subnets.length > 0) judged = await this.#ask({ op: "judge", folder, subnets });
    } catch (error) {
      judged.faults.push({ kind: "crash python", message: error.message, label: "judge" });
    }
    await this.#ask({ op: "forget", folder, keep });
    const configs = Object.fromEntries(subnets.map(({ label, config }) => [label, config]));
    return {
      ...rest,
      faults: [...faults, ...judged.faults],
      skipped: judged.skipped,
      source,
      shapes,
      configs,
      folder,
    };
  }

  async close() {
    this.#native.close();
    await this.#python.close();
  }
}
