#include "core/spec/words.hpp"

#include <set>

#include <gtest/gtest.h>

namespace lockstep {
namespace {

template <class E>
void every_enumerator_up_to(E last) {
  std::set<std::string> seen;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const std::string word = word_of(static_cast<E>(i));
    EXPECT_FALSE(word.empty()) << "enumerator " << i;
    EXPECT_TRUE(seen.insert(word).second) << word;
    EXPECT_EQ(value_of<E>(word), static_cast<E>(i));
  }
  EXPECT_EQ(words(E{}).size(), seen.size());
}

TEST(Words, EveryEnumeratorHasOne) {
  every_enumerator_up_to(Precision::Bf16);
  every_enumerator_up_to(DeviceKind::Cuda);
  every_enumerator_up_to(Initialization::Broadcast);
  every_enumerator_up_to(LinearInit::FanIn);
  every_enumerator_up_to(NormAverages::Recompute);
  every_enumerator_up_to(OptimizerKind::Lars);
  every_enumerator_up_to(LarsVariant::Timm);
  every_enumerator_up_to(NormKernels::Batched);
  every_enumerator_up_to(UpdateTime::PerBucket);
  every_enumerator_up_to(WarmupKind::Gradual);
  every_enumerator_up_to(DecayKind::Cosine);
  every_enumerator_up_to(WeightDecayKind::WithRate);
  every_enumerator_up_to(BucketPolicy::Horovod);
  every_enumerator_up_to(AllreduceAlgorithm::Library);
  every_enumerator_up_to(WireFormat::Bf16);
  every_enumerator_up_to(Reduction::Mpi);
  every_enumerator_up_to(Placement::Random);
  every_enumerator_up_to(FoldMode::Approx);
  every_enumerator_up_to(Routing::Ecmp);
  every_enumerator_up_to(DataKind::Idx);
  every_enumerator_up_to(Augmentation::RandomResizedCrop);
  every_enumerator_up_to(OnBroken::Skip);
  every_enumerator_up_to(JpegDecoder::Device);
  every_enumerator_up_to(NetworkKind::FatTree);
  every_enumerator_up_to(NicTransport::Tcp);
  every_enumerator_up_to(TuningRule::Estimates);
  every_enumerator_up_to(Confidence::Memory);
  EXPECT_FALSE(value_of<Precision>("fp64").has_value());
}

}  // namespace
}  // namespace lockstep
