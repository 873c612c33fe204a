/** How a search resumes from its checkpoint, and saves to it. */
import { forgetPrevious } from "../data/checkpoint-file";
import type { WorkShare } from "../distributed/work-share";
import type { SearchModel } from "../evaluation/types";
import { describe } from "../util/check";
import {
  type Checkpoint,
  packCheckpoint,
  readCheckpoint,
  requireFitting,
  unpackCheckpoint,
  writeCheckpoint,
} from "./checkpoint";
import { type CheckpointClaim, claimCheckpoint } from "./checkpoint-claim";
import { placeOf } from "./checkpoint-path";
import type { SearchStateDict } from "./types";

/** How {@link SearchCheckpoint.load} reads a checkpoint. */
export interface LoadCheckpointOptions {
  /** The searched model; its fingerprint is compared. */
  model(): SearchModel;
  /** The state at the beginning, with all keys that the state has. */
  initial: SearchStateDict;
  /** Whether the checkpoint must have exactly the keys of `initial`. */
  strict: boolean;
  signal: AbortSignal | null;
  log(message: string): void;
  /** Rank 0 reads for all. */
  share: WorkShare;
}

/** How {@link SearchCheckpoint.save} writes a checkpoint. */
export interface SaveCheckpointOptions {
  /** The searched model; the checkpoint has its fingerprint. */
  model(): SearchModel;
  /** Whether the file is named on standard error. */
  verbose: boolean;
  signal: AbortSignal | null;
  /** Called when this write's turn has come. */
  content(): Omit<Checkpoint, "fingerprint">;
}

/** The checkpoint of one searcher. Its path comes from the config, so it may change from search to search. */
export class SearchCheckpoint {
  #saving: Promise<void> = Promise.resolve();
  /** The file, during a search. */
  #claim: CheckpointClaim | null = null;
  /** Computed once a search, because it reads all weights. */
  #fingerprint: { model: SearchModel; value: Promise<string> } | null = null;

  /** Forgets the model's fingerprint, because the model may have changed since the last search. */
  reset(): void {
    this.#fingerprint = null;
  }

  /**
   * Claims the file for a search, before it takes any time. {@link end} gives it up.
   *
   * @throws `ERR_CHECKPOINT_WRITE`, `ERR_CHECKPOINT_IN_USE`
   */
  async begin(path: string | null): Promise<void> {
    if (path === null) return;
    const { file, writable } = await placeOf(path);
    if (writable) this.#claim = await claimCheckpoint(file);
  }

  /** Waits for writes that are under way, and lets others use the file. */
  async end(how: "well" | "early"): Promise<void> {
    await this.#saving;
    await this.#claim?.release(how);
    this.#claim = null;
  }

  /**
   * Reads the checkpoint, and checks that it belongs to the search.
   *
   * @returns its state, completed from the initial one, and its random state; null when there is no such file
   * @throws `ERR_CHECKPOINT_KEYS`, `ERR_CHECKPOINT_MODEL`, `ERR_CHECKPOINT_VERSION`, `ERR_CHECKPOINT_CORRUPT`,
   *   `ERR_CHECKPOINT_READ`
   */
  async load(
    path: string | null,
    { model, initial, strict, signal, log, share }: LoadCheckpointOptions,
  ): Promise<Pick<Checkpoint, "state" | "random"> | null> {
    if (path === null) return null;
    const { file } = await placeOf(path);
    const found = await readForAll(file, share, signal);
    if (found === null) {
      if (share.rank === 0) await forgetPrevious(file); // of an earlier search
      log(`Checkpoint ${file} does not exist yet; starting from scratch.`);
      return null;
    }
    const keys = Object.keys(initial);
    requireFitting(file, found, await this.#fingerprintOf(model(), signal), strict ? keys : null);
    log(`Resuming from checkpoint ${file}.`);
    const kept = Object.entries(found.state).filter(([key]) => keys.includes(key));
    return { state: { ...initial, ...Object.fromEntries(kept) }, random: found.random };
  }

  /**
   * Writes the checkpoint after all writes that began earlier, so that an older state never replaces a newer one. Does
   * nothing when the path is a file and this process is not rank 0.
   *
   * @throws `ERR_CHECKPOINT_WRITE`, `ERR_STATE_VALUE`
   */
  async save(path: string | null, { model, verbose, signal, content }: SaveCheckpointOptions): Promise<void> {
    if (path === null) return;
    const saved = this.#saving.then(async () => {
      const { file, writable } = await placeOf(path);
      if (!writable) return;
      const fingerprint = await this.#fingerprintOf(model(), signal);
      await writeCheckpoint(file, { ...content(), fingerprint }, { keepPrevious: this.#claim !== null });
      if (verbose) process.stderr.write(`Saved the state of the search to ${file}.\n`);
    });
    this.#saving = saved.catch(() => {});
    await saved;
  }

  #fingerprintOf(model: SearchModel, signal: AbortSignal | null): Promise<string> {
    if (this.#fingerprint?.model !== model) {
      // A search that was aborted still saves its checkpoint.
      const value = model.fingerprint({ signal: signal?.aborted ? null : signal });
      this.#fingerprint = { model, value };
    }
    return this.#fingerprint.value;
  }
}

/** The checkpoint that rank 0 reads, on every rank: the file may be on rank 0's machine only. */
async function readForAll(
  file: string,
  share: WorkShare,
  signal: AbortSignal | null,
): Promise<Checkpoint | null> {
  if (share.worldSize === 1) return readCheckpoint(file);
  const sent = await share.once(async () => {
    const found = await readCheckpoint(file);
    return found === null ? null : packCheckpoint(found);
  }, signal);
  return sent === null ? null : unpackCheckpoint(sent);
}

/** The values of a config that JSON can hold; others, such as functions and loaders, are described. */
export function plainSettings(config: object): Record<string, unknown> {
  const plain = (value: unknown): unknown =>
    value === null || ["number", "string", "boolean"].includes(typeof value) ? value : describe(value);
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key, plain(value)]));
}
