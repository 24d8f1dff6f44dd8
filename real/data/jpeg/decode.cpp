#include "real/data/jpeg/decode.hpp"

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <jpeglib.h>

#include <jerror.h>

#include "real/data/resample.hpp"

namespace lockstep {

namespace {

constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;
constexpr double kKept = 2;     // times the wanted pixels that shrinking must leave
constexpr int kUpsampling = 2;  // columns at a cut edge whose colour was interpolated without the neighbour

/// libjpeg reports errors by a call that must not return: this one leaves through longjmp, past frames without
/// destructors.
struct Errors {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf leave;
  char text[JMSG_LENGTH_MAX];
};

void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<Errors*>(info->err);
  info->err->format_message(info, errors->text);
  std::longjmp(errors->leave, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_ICC: return;
    default: on_error(info);
  }
}

/// Calls `f`, which calls libjpeg and owns nothing. False: libjpeg gave up, for the reason in errors.text.
template <typename F>
bool completes(Errors& errors, F f) {
  if (setjmp(errors.leave) != 0) return false;
  f();
  return true;
}

class Decoder {
 public:
  explicit Decoder(const std::string& name) : name_(name) {
    info_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = on_error;
    errors_.manager.emit_message = on_message;
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }  // does nothing to what was never created
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  void decode(std::span<const char> bytes, const WantedOf& wanted, Image& out) {
    jpeg_decompress_struct& d = info_;
    run([&] {
      jpeg_create_decompress(&d);
      jpeg_mem_src(&d, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
      jpeg_read_header(&d, TRUE);
    });
    const int h = static_cast<int>(d.image_height), w = static_cast<int>(d.image_width);
    if (std::int64_t{h} * w > kMostPixels)
      throw BrokenImage(fmt::format("{}: its header speaks of {} x {} pixels", name_, h, w));
    out.view = {h, w, 0, 0, 8};
    Wanted want{{0, 0, static_cast<double>(h), static_cast<double>(w)}, h, w};
    if (wanted) {
      want = wanted(h, w);
      const double ratio = std::min(want.part.height / want.out_h, want.part.width / want.out_w);
      while (out.view.eighths > 1 && ratio * out.view.eighths / 16 >= kKept) out.view.eighths /= 2;
    }
    const bool four = d.jpeg_color_space == JCS_CMYK || d.jpeg_color_space == JCS_YCCK;
    d.out_color_space = four ? JCS_CMYK : JCS_RGB;
    d.scale_num = static_cast<unsigned>(out.view.eighths);
    d.scale_denom = 8;
    run([&] { jpeg_start_decompress(&d); });

    const Region part = out.here(want.part);
    const auto [top, bottom] = kept(part.top, part.height, want.out_h, d.output_height, 0);
    const auto [left, right] = kept(part.left, part.width, want.out_w, d.output_width, kUpsampling);
    JDIMENSION from = left, width = right - left;
    if (width < d.output_width) run([&] { jpeg_crop_scanline(&d, &from, &width); });  // begins where a block begins
    out.view.top = static_cast<int>(top);
    out.view.left = static_cast<int>(from);
    out.c = 3;
    out.h = static_cast<int>(bottom - top);
    out.w = static_cast<int>(width);
    out.pixels.resize(std::size_t{3} * width * (bottom - top));
    std::vector<std::uint8_t> line(std::size_t{four ? 4u : 3u} * width);
    run([&, rows_begin = top, rows_end = bottom] {
      if (rows_begin > 0) jpeg_skip_scanlines(&d, rows_begin);
      while (d.output_scanline < rows_end) {
        std::uint8_t* target = out.pixels.data() + std::size_t{3} * width * (d.output_scanline - rows_begin);
        JSAMPROW row = four ? line.data() : target;
        jpeg_read_scanlines(&d, &row, 1);
        if (four) to_rgb(line.data(), width, target);
      }
      if (d.output_scanline < d.output_height) {
        // A skip to the very end would not look at the bytes.
        JSAMPROW row = line.data();
        jpeg_skip_scanlines(&d, d.output_height - d.output_scanline - 1);
        jpeg_read_scanlines(&d, &row, 1);
      }
      jpeg_finish_decompress(&d);
    });
  }

 private:
  template <typename F>
  void run(F f) {
    if (!completes(errors_, f)) throw BrokenImage(name_ + ": " + errors_.text);
  }

  /// First and past-the-last pixel needed for resampling [begin, begin + length) to `count`.
  static std::pair<JDIMENSION, JDIMENSION> kept(double begin, double length, int count, JDIMENSION limit, int more) {
    const int reach = resample_reach(length, count) + more;
    const int first = std::max(0, static_cast<int>(std::floor(begin)) - reach);
    const int last = std::min(static_cast<int>(limit), static_cast<int>(std::ceil(begin + length)) + reach);
    return {static_cast<JDIMENSION>(first), static_cast<JDIMENSION>(last)};
  }

  void to_rgb(const std::uint8_t* cmyk, std::size_t width, std::uint8_t* rgb) const {
    for (std::size_t x = 0; x < width; ++x, cmyk += 4) {
      for (std::size_t c = 0; c < 3; ++c) {  // Adobe writes inverted CMYK
        const int v = info_.saw_Adobe_marker ? cmyk[c] * cmyk[3] / 255 : (255 - cmyk[c]) * (255 - cmyk[3]) / 255;
        *rgb++ = static_cast<std::uint8_t>(v);
      }
    }
  }

  const std::string& name_;
  jpeg_decompress_struct info_{};
  Errors errors_{};
};

}  // namespace

void require_jpeg() {}

void decode_jpeg(std::span<const char> bytes, const WantedOf& wanted, const std::string& name, Image& out) {
  if (bytes.empty()) throw BrokenImage(name + ": is empty");
  Decoder(name).decode(bytes, wanted, out);
}

}  // namespace lockstep
