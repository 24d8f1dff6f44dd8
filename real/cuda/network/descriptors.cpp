#include "real/cuda/network/descriptors.hpp"

namespace lockstep::cuda {

cudnnDataType_t cudnn_type(Element element) {
  switch (element) {
    case Element::F16: return CUDNN_DATA_HALF;
    case Element::Bf16: return CUDNN_DATA_BFLOAT16;
    case Element::F32: break;
  }
  return CUDNN_DATA_FLOAT;
}

cudaDataType cuda_type(Element element) {
  switch (element) {
    case Element::F16: return CUDA_R_16F;
    case Element::Bf16: return CUDA_R_16BF;
    case Element::F32: break;
  }
  return CUDA_R_32F;
}

cudnnMathType_t cudnn_math(Precision precision) {
  switch (precision) {
    case Precision::Fp32: return CUDNN_FMA_MATH;
    case Precision::Tf32: return CUDNN_DEFAULT_MATH;
    case Precision::Fp16:
    case Precision::Bf16: break;
  }
  return CUDNN_TENSOR_OP_MATH;
}

TensorDescriptor::TensorDescriptor(std::string_view layer, Element element, int images, const Shape& shape) {
  cudnnTensorDescriptor_t made = nullptr;
  check(cudnnCreateTensorDescriptor(&made), layer, "cudnnCreateTensorDescriptor");
  descriptor_.reset(made);
  check(cudnnSetTensor4dDescriptor(made, CUDNN_TENSOR_NHWC, cudnn_type(element), images, shape.c, shape.h, shape.w),
        layer, "cudnnSetTensor4dDescriptor");
}

FilterDescriptor::FilterDescriptor(std::string_view layer, Element element, int k, int channels, int r, int s) {
  cudnnFilterDescriptor_t made = nullptr;
  check(cudnnCreateFilterDescriptor(&made), layer, "cudnnCreateFilterDescriptor");
  descriptor_.reset(made);
  check(cudnnSetFilter4dDescriptor(made, cudnn_type(element), CUDNN_TENSOR_NHWC, k, channels, r, s), layer,
        "cudnnSetFilter4dDescriptor");
}

ConvolutionDescriptor::ConvolutionDescriptor(const Layer& layer) {
  cudnnConvolutionDescriptor_t made = nullptr;
  check(cudnnCreateConvolutionDescriptor(&made), layer.name, "cudnnCreateConvolutionDescriptor");
  descriptor_.reset(made);
  check(cudnnSetConvolution2dDescriptor(made, layer.pad, layer.pad, layer.stride, layer.stride, 1, 1,
                                        CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
        layer.name, "cudnnSetConvolution2dDescriptor");
  check(cudnnSetConvolutionGroupCount(made, layer.groups), layer.name, "cudnnSetConvolutionGroupCount");
}

}  // namespace lockstep::cuda
