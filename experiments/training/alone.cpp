#include "experiments/training/alone.hpp"

#include "core/base/error.hpp"
#include "core/model/zoo.hpp"
#include "experiments/training/device_backend.hpp"
#include "real/comm/transport.hpp"
#include "real/world/real_world.hpp"

namespace lockstep {

RunImages open_images(const RunSpec& run) {
  const ModelGraph graph = build_model(run.model.name, run.model.image_size, run.model.classes);
  RunImages images;
  std::vector<Fault> faults;
  const auto attempt = [&](auto&& work) {
    try {
      work();
    } catch (const ConfigError& e) {
      faults.insert(faults.end(), e.faults().begin(), e.faults().end());
    }
  };
  const auto open = [&](Split split) {
    return open_dataset(run.data, split, graph.input(), graph.classes, run.training.seed);
  };
  attempt([&] { device_of(run).require(run); });
  attempt([&] { images.training = open(Split::Training); });
  if (run.data.validation_images > 0 && faults.empty()) attempt([&] { images.validation = open(Split::Validation); });
  if (!faults.empty()) throw ConfigError(std::move(faults));
  return images;
}

TrainingResult train_alone(const Inputs& inputs, const RunImages& images,
                           const std::function<bool(std::int64_t done)>& step) {
  LOCKSTEP_EXPECTS(inputs.run.cluster.gpus == 1 && images.training != nullptr);
  const auto transport = solo_transport();
  RealWorldSettings settings;
  settings.run = inputs.run;
  settings.transport = transport.get();
  settings.training = images.training.get();
  settings.validation = images.validation.get();
  settings.device = device_of(inputs.run).make;
  RealWorld world(std::move(settings));
  std::int64_t done = 0;
  LoopHooks hooks;
  hooks.observer = [&](std::int64_t, Time) { return step(++done); };
  return train(inputs.run, world, program_factory(inputs), hooks);
}

}  // namespace lockstep
