// The other end of worker.mjs: answers each request by the function of that name, until standard input ends.
import { createInterface } from "node:readline";

export async function serve(functions) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { op, ...request } = JSON.parse(line);
    let answer;
    try {
      answer = await functions[op](request);
    } catch (error) {
      answer = { error: error.stack ?? String(error) };
    }
    process.stdout.write(`${JSON.stringify(answer ?? {})}\n`);
  }
}
