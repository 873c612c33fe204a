// Serves a digits classifier over HTTP: requests that come while the model runs are answered by one forward together.
//
//   node examples/serve.mjs [model.pt] [port, default 8080]
//   curl -d '{"image": [0, 0.5, …64 numbers]}' localhost:8080
import http from "node:http";
import path from "node:path";
import { Module, Tensor } from "torchsearch";

const LARGEST_BATCH = 64;
const LONGEST_BODY = 100_000; // bytes
const PIXELS = 8 * 8;

const fixtures = path.join(import.meta.dirname, "..", "test", "fixtures");
const [file = path.join(fixtures, "digits_cnn.pt"), port = "8080"] = process.argv.slice(2);
const module = (await Module.load(file)).eval();

/** Requests that wait for a forward. */
const waiting = [];
let running = false;

function classify(image) {
  return new Promise((resolve, reject) => {
    waiting.push({ image, resolve, reject });
    if (!running) void drain();
  });
}

async function drain() {
  running = true;
  while (waiting.length > 0) {
    const batch = waiting.splice(0, LARGEST_BATCH);
    try {
      const pixels = Float32Array.from(batch.flatMap(({ image }) => image));
      const images = Tensor.from(pixels, [batch.length, 1, 8, 8]);
      const logits = await module.forward(images);
      const rows = Array.from(logits.data()); // [batch, 10], row by row
      for (const tensor of [images, logits]) tensor.close();
      for (const [at, { resolve }] of batch.entries()) {
        const row = rows.slice(10 * at, 10 * at + 10);
        resolve({ digit: row.indexOf(Math.max(...row)), together: batch.length });
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
  running = false;
}

async function bodyOf(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > LONGEST_BODY) throw new RangeError("the body is too long");
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString());
}

const server = http.createServer(async (request, response) => {
  const answer = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
  let image;
  try {
    ({ image } = await bodyOf(request));
    if (!Array.isArray(image) || image.length !== PIXELS || !image.every(Number.isFinite))
      throw new RangeError(`image must be ${PIXELS} numbers`);
  } catch (error) {
    return answer(400, { error: error.message });
  }
  try {
    answer(200, await classify(image));
  } catch (error) {
    answer(500, { error: error.code ?? "failed" });
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(`Listening on port ${server.address().port}`));
process.on("SIGTERM", () => server.close(() => module.close()));
