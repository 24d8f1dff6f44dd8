#include "experiments/check/svg.hpp"

#include <fmt/format.h>

namespace lockstep::check {

namespace {

std::string attributes(const Style& s) {
  return fmt::format("fill=\"{}\" stroke=\"{}\" stroke-width=\"{:g}\"", s.fill, s.stroke, s.width);
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

void Svg::box(double x, double y, double width, double height, const Style& style) {
  body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"4\" {}/>\n", x, y,
                       width, height, attributes(style));
}

void Svg::line(double x1, double y1, double x2, double y2, const Style& style) {
  body_ += fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2,
                       attributes(style));
}

void Svg::arc(double x1, double x2, double y, double depth, const Style& style) {
  const double control = y + depth * 4 / 3;  // a cubic with both controls at y + c hangs 3/4 c deep
  body_ += fmt::format("<path d=\"M {0:.1f} {1:.1f} C {0:.1f} {3:.1f} {2:.1f} {3:.1f} {2:.1f} {1:.1f}\" {4}/>\n", x1, y,
                       x2, control, attributes(style));
}

void Svg::text(double x, double y, const std::string& text, double size, Align align, const char* colour, bool bold) {
  const char* anchor = align == Align::Left ? "start" : align == Align::Right ? "end" : "middle";
  body_ += fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:g}\" text-anchor=\"{}\" fill=\"{}\"{} paint-order=\"stroke\" "
      "stroke=\"#ffffff\" "
      "stroke-width=\"3\">{}</text>\n",
      x, y + size * 0.35, size, anchor, colour, bold ? " font-weight=\"bold\"" : "", escaped(text));
}

std::string Svg::finish(double width, double height, const std::string& title) const {
  return fmt::format(
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} "
             "{1:.0f}\" "
             "font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>{2}</title>\n"
             "<rect width=\"{0:.0f}\" height=\"{1:.0f}\" fill=\"#ffffff\"/>\n",
             width, height, escaped(title)) +
         body_ + "</svg>\n";
}

}  // namespace lockstep::check
