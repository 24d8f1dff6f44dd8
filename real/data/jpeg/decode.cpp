#include "real/data/jpeg/decode.hpp"

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>

namespace lockstep {

namespace {

/// libjpeg reports errors by a call that must not return: this one leaves through longjmp, past frames without destructors.
struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf leave;
  char text[JMSG_LENGTH_MAX];
};

void on_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<Errors*>(info->err);
  info->err->format_message(info, errors->text);
  std::longjmp(errors->leave, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level < 0) on_error(info);  // a warning: corrupt data, a premature end
}

struct Decoder {
  jpeg_decompress_struct info;
  Errors errors;
  std::vector<std::uint8_t> row;
};

/// No object with a destructor lives in this frame. Returns false with the reason in `errors.text`.
bool decode(Decoder& d, std::span<const char> bytes, int target, Image& out) {
  d.info.err = jpeg_std_error(&d.errors.manager);
  d.errors.manager.error_exit = on_error;
  d.errors.manager.emit_message = on_message;
  if (setjmp(d.errors.leave) != 0) {
    jpeg_destroy_decompress(&d.info);
    return false;
  }
  jpeg_create_decompress(&d.info);
  jpeg_mem_src(&d.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&d.info, TRUE);
  const bool four = d.info.jpeg_color_space == JCS_CMYK || d.info.jpeg_color_space == JCS_YCCK;
  d.info.out_color_space = four ? JCS_CMYK : JCS_RGB;
  const unsigned shorter = std::min(d.info.image_width, d.info.image_height);
  d.info.scale_num = 8;
  d.info.scale_denom = 8;
  while (target > 0 && d.info.scale_num > 1 &&
         shorter * (d.info.scale_num / 2) / 8 >= 2u * static_cast<unsigned>(target))
    d.info.scale_num /= 2;
  jpeg_start_decompress(&d.info);
  out.c = 3;
  out.h = static_cast<int>(d.info.output_height);
  out.w = static_cast<int>(d.info.output_width);
  const std::size_t width = d.info.output_width;
  out.pixels.resize(3 * width * d.info.output_height);
  if (four) d.row.resize(4 * width);
  while (d.info.output_scanline < d.info.output_height) {
    std::uint8_t* target_row = out.pixels.data() + 3 * width * d.info.output_scanline;
    JSAMPROW rows[1] = {four ? d.row.data() : target_row};
    jpeg_read_scanlines(&d.info, rows, 1);
    if (!four) continue;
    for (std::size_t x = 0; x < width; ++x) {  // Adobe writes inverted CMYK
      const std::uint8_t* p = d.row.data() + 4 * x;
      for (std::size_t c = 0; c < 3; ++c) {
        const int v = d.info.saw_Adobe_marker ? p[c] * p[3] / 255 : (255 - p[c]) * (255 - p[3]) / 255;
        target_row[3 * x + c] = static_cast<std::uint8_t>(v);
      }
    }
  }
  jpeg_finish_decompress(&d.info);
  jpeg_destroy_decompress(&d.info);
  return true;
}

}  // namespace

void require_jpeg() {}

void decode_jpeg(std::span<const char> bytes, int target, const std::string& name, Image& out) {
  if (bytes.empty()) throw BrokenImage(name + ": is empty");
  Decoder decoder{};
  if (!decode(decoder, bytes, target, out)) throw BrokenImage(name + ": " + decoder.errors.text);
}

}  // namespace lockstep
