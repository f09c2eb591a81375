//! Just enough SVG for the pictures: panels with axes, lines and points. Each picture brings its own background, light or
//! dark as its reader prefers, and names its colours once.

use std::fmt::Write as _;

/// Colours and strokes by class, for both backgrounds.
const STYLE: &str = "<style>\
    .ground{fill:#fff}.panel{fill:#f6f8fa;stroke:#8c959f}.grid{stroke:#d0d7de;stroke-width:.6}.off{fill:#d0d7de;opacity:.55}\
    text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:13px}.end{text-anchor:end}\
    .middle{text-anchor:middle}.line{fill:none;stroke-linejoin:round}\
    .ideal{stroke:#6e7781;stroke-width:3;stroke-dasharray:1.5 2.5}.ours{stroke:#0969da;stroke-width:2.2}\
    .ckpool{stroke:#bc4c00;stroke-width:1.3}.ladder{stroke:#1a7f37;stroke-width:1.5;stroke-dasharray:6 3}\
    .bound{stroke:#6e7781;stroke-width:1.6}.page{stroke:#8250df;stroke-width:1.6;stroke-dasharray:3 2}\
    .shut{fill:#6e7781;opacity:.18}.ours.dot{fill:#0969da}.ckpool.dot{fill:#bc4c00}.ladder.dot{fill:#1a7f37}\
    @media(prefers-color-scheme:dark){.ground{fill:#0d1117}.panel{fill:#161b22;stroke:#6e7681}.grid{stroke:#30363d}\
    .off{fill:#484f58}text{fill:#e6edf3}.ideal,.bound{stroke:#9aa4af}.ours{stroke:#58a6ff}.ckpool{stroke:#ff9b50}\
    .ladder{stroke:#56d364}.page{stroke:#bc8cff}.shut{fill:#9aa4af}.ours.dot{fill:#58a6ff}.ckpool.dot{fill:#ff9b50}\
    .ladder.dot{fill:#56d364}}</style>";

/// A picture in the making, in pixels from the upper left.
pub(crate) struct Picture {
    text: String,
}

impl Picture {
    /// An empty one; `title` is for readers who cannot see it.
    pub(crate) fn new(width: u32, height: u32, title: &str) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\"><title>{title}</title>{STYLE}<rect class=\"ground\" width=\"{width}\" \
             height=\"{height}\"/>\n"
        );
        Self { text }
    }

    pub(crate) fn label(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.add(format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n"));
    }

    /// A short stroke in the style of `class`, and what it stands for.
    pub(crate) fn key(&mut self, x: f64, y: f64, class: &str, text: &str) {
        self.add(format_args!("<path class=\"line {class}\" d=\"M{x:.0} {:.0}h26\"/>\n", y - 4.0));
        self.label(x + 32.0, y, "", text);
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn add(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).expect("writing to a string succeeds");
    }
}

/// The values along one axis. What lies beyond is drawn at the edge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale {
    /// Evenly from the first to the last.
    Even(f64, f64),
    /// Evenly in the logarithm.
    Logarithmic(f64, f64),
}

impl Scale {
    /// 0 at the first value, 1 at the last.
    fn part(self, value: f64) -> f64 {
        let part = match self {
            Self::Even(first, last) => (value - first) / (last - first),
            Self::Logarithmic(first, last) => (value.max(f64::MIN_POSITIVE) / first).ln() / (last / first).ln(),
        };
        part.clamp(0.0, 1.0)
    }
}

/// A rectangle of a picture with two axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panel {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) across: Scale,
    pub(crate) up: Scale,
}

impl Panel {
    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.across.part(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.up.part(value))
    }

    /// Ground, title and the marks of both axes.
    pub(crate) fn frame(&self, picture: &mut Picture, title: &str, across: &[(f64, &str)], up: &[(f64, &str)]) {
        let Self { left, top, width, height, .. } = *self;
        picture.add(format_args!(
            "<rect class=\"panel\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"/>\n"
        ));
        picture.label(left, top - 7.0, "title", title);
        for (value, text) in across {
            let x = self.x(*value);
            picture.add(format_args!("<path class=\"grid\" d=\"M{x:.1} {top}v{height}\"/>"));
            picture.label(x, top + height + 15.0, "middle", text);
        }
        for (value, text) in up {
            let y = self.y(*value);
            picture.add(format_args!("<path class=\"grid\" d=\"M{left} {y:.1}h{width}\"/>"));
            picture.label(left - 5.0, y + 4.0, "end", text);
        }
    }

    /// Marks a stretch of the lower axis.
    pub(crate) fn shade(&self, picture: &mut Picture, from: f64, to: f64) {
        let (left, right) = (self.x(from), self.x(to));
        let (width, height) = (right - left, self.height);
        picture.add(format_args!(
            "<rect class=\"off\" x=\"{left:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{height}\"/>\n",
            self.top
        ));
    }

    /// Through `points`, straight.
    pub(crate) fn line(&self, picture: &mut Picture, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{command}{:.1} {:.1}", self.x(*x), self.y(*y)).expect("writing to a string succeeds");
        }
        picture.add(format_args!("<path class=\"line {class}\" d=\"{path}\"/>\n"));
    }

    /// Through `points`, each value standing until the next.
    pub(crate) fn steps(&self, picture: &mut Picture, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let (x, y) = (self.x(*x), self.y(*y));
            let step = if index == 0 { format!("M{x:.1} {y:.1}") } else { format!("H{x:.1}V{y:.1}") };
            path.push_str(&step);
        }
        write!(path, "H{:.1}", self.left + self.width).expect("writing to a string succeeds");
        picture.add(format_args!("<path class=\"line {class}\" d=\"{path}\"/>\n"));
    }

    /// What lies above the line through `points`, up to the upper edge.
    pub(crate) fn shut(&self, picture: &mut Picture, points: &[(f64, f64)]) {
        let mut path = format!("M{:.1} {:.1}", self.left, self.top);
        for (x, y) in points {
            write!(path, "L{:.1} {:.1}", self.x(*x), self.y(*y)).expect("writing to a string succeeds");
        }
        picture.add(format_args!("<path class=\"shut\" d=\"{path}V{:.1}Z\"/>\n", self.top));
    }

    /// A point, with its name to the right.
    pub(crate) fn dot(&self, picture: &mut Picture, class: &str, at: (f64, f64), name: &str) {
        let (x, y) = (self.x(at.0), self.y(at.1));
        picture.add(format_args!("<circle class=\"{class} dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"/>"));
        picture.label(x + 9.0, y + 4.0, "", name);
    }
}
