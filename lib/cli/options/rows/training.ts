/** Options of training. */

import { LOSSES, lossFor } from "../../../evaluation/losses";
import {
  DEFAULT_EPOCHS,
  DISTILLATION_DEFAULTS,
  OPTIMIZER_DEFAULTS,
  OPTIMIZERS,
  SCHEDULES,
  TRAINING_DEFAULTS,
} from "../../../finetune/options";
import { SUPERNET_DEFAULTS } from "../../../finetune/supernet-options";
import { choice, file, flag, number, positive, whole } from "../kinds";
import { row } from "../row";

/** `1e-3 for adamw, 1e-2 for sgd` */
const byOptimizer = (key: keyof (typeof OPTIMIZER_DEFAULTS)["sgd"]): string =>
  OPTIMIZERS.map((name) => `${OPTIMIZER_DEFAULTS[name][key]} for ${name}`).join(", ");

export const TRAINING_OPTIONS = [
  row({
    flag: "--teacher <file>",
    commands: ["finetune"],
    key: "teacher",
    kind: file,
    default: null,
    help: "a TorchScript file, such as the full model, to learn from too",
  }),
  row({
    flag: "--alpha <share>",
    commands: ["finetune"],
    key: "alpha",
    kind: number,
    default: null,
    defaultText: `${DISTILLATION_DEFAULTS.alpha}; with --supernet, whose largest subnet is the teacher, ${SUPERNET_DEFAULTS.alpha}`,
    help: "the teacher's share in the loss, 0 to 1; 1 needs no targets",
  }),
  row({
    flag: "--temperature <number>",
    commands: ["finetune"],
    key: "temperature",
    kind: number,
    default: null,
    defaultText: `${DISTILLATION_DEFAULTS.temperature}; with --supernet ${SUPERNET_DEFAULTS.temperature}`,
    help: "softens the teacher's part of the loss",
  }),
  row({
    flag: "--epochs <count>",
    commands: ["finetune"],
    key: "epochs",
    kind: positive,
    default: null,
    defaultText: String(DEFAULT_EPOCHS),
    help: "passes over the data",
  }),
  row({
    flag: "--finetune-epochs <count>",
    commands: ["search"],
    key: "finetuneEpochs",
    kind: positive,
    default: null,
    help: "train the result this many passes over the data, with the full model as the teacher",
  }),
  row({
    flag: "--steps <count>",
    commands: ["finetune"],
    key: "steps",
    kind: positive,
    default: null,
    help: "batches to train on, instead of --epochs",
  }),
  row({
    flag: "--optimizer <name>",
    commands: ["finetune"],
    key: "optimizer",
    kind: choice(OPTIMIZERS),
    default: TRAINING_DEFAULTS.optimizer,
    help: "how weights are changed",
  }),
  row({
    flag: "--lr <rate>",
    commands: ["finetune"],
    key: "learningRate",
    kind: number,
    default: null,
    defaultText: byOptimizer("learningRate"),
    help: "the largest learning rate",
  }),
  row({
    flag: "--weight-decay <number>",
    commands: ["finetune"],
    key: "weightDecay",
    kind: number,
    default: null,
    defaultText: byOptimizer("weightDecay"),
    help: "weight decay, except for biases and norms",
  }),
  row({
    flag: "--momentum <number>",
    commands: ["finetune"],
    key: "momentum",
    kind: number,
    default: TRAINING_DEFAULTS.momentum,
    help: "momentum of sgd",
  }),
  row({
    flag: "--nesterov",
    commands: ["finetune"],
    key: "nesterov",
    kind: flag,
    default: TRAINING_DEFAULTS.nesterov,
    help: "Nesterov's momentum, for sgd",
  }),
  row({
    flag: "--schedule <name>",
    commands: ["finetune"],
    key: "schedule",
    kind: choice(SCHEDULES),
    default: TRAINING_DEFAULTS.schedule,
    help: "how the learning rate changes over the steps",
  }),
  row({
    flag: "--warmup-steps <count>",
    commands: ["finetune"],
    key: "warmupSteps",
    kind: whole,
    default: TRAINING_DEFAULTS.warmupSteps,
    help: "steps over which the learning rate rises",
  }),
  row({
    flag: "--clip-norm <number>",
    commands: ["finetune"],
    key: "clipNorm",
    kind: number,
    default: null,
    defaultText: "no limit",
    help: "largest norm of all gradients together",
  }),
  row({
    flag: "--loss <name>",
    commands: ["finetune"],
    key: "loss",
    kind: choice(LOSSES),
    default: null,
    defaultText: `${lossFor(true)} for labels, ${lossFor(false)} for other targets`,
    help: "what is minimized",
  }),
  row({
    flag: "--label-smoothing <share>",
    commands: ["finetune"],
    key: "labelSmoothing",
    kind: number,
    default: TRAINING_DEFAULTS.labelSmoothing,
    help: "share of each label that is spread over all classes",
  }),
  row({
    flag: "--recalibrate",
    commands: ["finetune"],
    key: "recalibrate",
    kind: flag,
    default: false,
    help: "average the batch norms' statistics over the data after training",
  }),
] as const;
