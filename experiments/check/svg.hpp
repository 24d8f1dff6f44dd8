// Text of an SVG drawing, shape by shape. Coordinates in pixels, y downwards.
#pragma once

#include <string>

namespace lockstep::check {

struct Style {
  const char* fill = "none";
  const char* stroke = "none";
  double width = 1;  ///< of the stroke
};

enum class Align { Left, Middle, Right };

class Svg {
 public:
  void box(double x, double y, double width, double height, const Style& style);
  void line(double x1, double y1, double x2, double y2, const Style& style);
  /// A hanging arc from (x1, y) to (x2, y) whose lowest point lies `depth` below y.
  void arc(double x1, double x2, double y, double depth, const Style& style);
  /// `y` is the middle of the letters. `size` in pixels. Any text; it is escaped. A white rim keeps it readable over lines.
  void text(double x, double y, const std::string& text, double size = 12, Align align = Align::Middle,
            const char* colour = "#222222", bool bold = false);
  /// Everything drawn there, over everything drawn here.
  void append(const Svg& above) { body_ += above.body_; }
  /// The whole file, on white.
  std::string finish(double width, double height, const std::string& title) const;

 private:
  std::string body_;
};

/// & < > " as entities.
std::string escaped(const std::string& text);

}  // namespace lockstep::check
