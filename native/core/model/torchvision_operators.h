#pragma once

namespace torchsearch {

// Detectors of torchvision name operators of its own library, which a LibTorch hasn't got, and a file that
// names an unknown operator can't be loaded. Registers `nms` and `roi_align`, and declares
// `box_iou_rotated`, which detectors mention but never reach. What is registered already is left alone.
void registerTorchvisionOperators();

}  // namespace torchsearch
