// The records of a run: one JSON line for each model and form, appended at once. A later line replaces an earlier one.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";

const keyOf = ({ name, form }) => `${name}:${form}`;

export class Records {
  #file;
  #latest = new Map();

  constructor(file) {
    this.#file = file;
    mkdirSync(path.dirname(file), { recursive: true });
    if (!existsSync(file)) return;
    for (const line of readFileSync(file, "utf8").split("\n")) {
      if (line.trim() === "") continue;
      try {
        const record = JSON.parse(line);
        this.#latest.set(keyOf(record), record);
      } catch {
        // A run that was killed while it wrote leaves half a line; that model runs again.
      }
    }
  }

  get(name, form) {
    return this.#latest.get(keyOf({ name, form }));
  }

  all() {
    return [...this.#latest.values()];
  }

  add(record) {
    this.#latest.set(keyOf(record), record);
    // The leading line break ends a half-written line.
    appendFileSync(this.#file, `\n${JSON.stringify(record)}`);
  }
}
