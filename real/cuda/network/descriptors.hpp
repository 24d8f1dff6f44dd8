// Owned descriptors of cuDNN, all channels last.
#pragma once

#include <memory>
#include <string_view>
#include <type_traits>

#include "core/model/graph.hpp"
#include "core/spec/run_spec.hpp"
#include "real/cuda/kernels/element.hpp"
#include "real/cuda/network/cudnn_check.hpp"

namespace lockstep::cuda {

/// Fp32 and Tf32 store fp32.
constexpr Element storage_of(Precision precision) {
  return precision == Precision::Fp16 ? Element::F16 : precision == Precision::Bf16 ? Element::Bf16 : Element::F32;
}

cudnnDataType_t cudnn_type(Element element);
cudaDataType cuda_type(Element element);
/// CUDNN_FMA_MATH for Fp32, CUDNN_DEFAULT_MATH for Tf32 (tensor cores from Ampere on, plain fp32 before; never a
/// conversion to fp16), CUDNN_TENSOR_OP_MATH for 16 bit.
cudnnMathType_t cudnn_math(Precision precision);

/// [images, h, w, c].
class TensorDescriptor {
 public:
  TensorDescriptor(std::string_view layer, Element element, int images, const Shape& shape);
  operator cudnnTensorDescriptor_t() const { return descriptor_.get(); }

 private:
  struct Destroy {
    void operator()(cudnnTensorDescriptor_t d) const { cudnnDestroyTensorDescriptor(d); }
  };
  std::unique_ptr<std::remove_pointer_t<cudnnTensorDescriptor_t>, Destroy> descriptor_;
};

/// [k, r, s, c]: `channels` of one group.
class FilterDescriptor {
 public:
  FilterDescriptor(std::string_view layer, Element element, int k, int channels, int r, int s);
  operator cudnnFilterDescriptor_t() const { return descriptor_.get(); }

 private:
  struct Destroy {
    void operator()(cudnnFilterDescriptor_t d) const { cudnnDestroyFilterDescriptor(d); }
  };
  std::unique_ptr<std::remove_pointer_t<cudnnFilterDescriptor_t>, Destroy> descriptor_;
};

/// Cross-correlation that accumulates in fp32.
class ConvolutionDescriptor {
 public:
  explicit ConvolutionDescriptor(const Layer& layer);
  operator cudnnConvolutionDescriptor_t() const { return descriptor_.get(); }

 private:
  struct Destroy {
    void operator()(cudnnConvolutionDescriptor_t d) const { cudnnDestroyConvolutionDescriptor(d); }
  };
  std::unique_ptr<std::remove_pointer_t<cudnnConvolutionDescriptor_t>, Destroy> descriptor_;
};

}  // namespace lockstep::cuda
