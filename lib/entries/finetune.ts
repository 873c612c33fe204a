/**
 * Training: fine-tuning a subnet, and training a supernet.
 *
 * @module torchsearch/finetune
 */
export { type FinetuneResult, finetune } from "../finetune/finetune";
export type { BatchGradient, LossAndGradient } from "../finetune/loss-function";
export {
  type FinetuneOptions,
  OPTIMIZERS,
  SCHEDULES,
  type TrainingOptions,
} from "../finetune/options";
export { type SupernetResult, trainSupernet } from "../finetune/supernet";
export type { SupernetOptions } from "../finetune/supernet-options";
export type { TrainingResult } from "../finetune/training-result";
export type { EpochRecord, TrainingProgress } from "../finetune/training-state";
