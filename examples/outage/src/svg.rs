use std::fmt::{self, Write};

/// A drawing, in the order in which it is drawn.
#[derive(Debug)]
pub(crate) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Rect {
    pub(crate) fn right(&self) -> f64 {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> f64 {
        self.y + self.height
    }
}

/// How a text looks and where its point is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) colour: &'static str,
    pub(crate) anchor: &'static str,
}

impl Type {
    pub(crate) const fn new(size: f64) -> Self {
        Type { size, bold: false, colour: "#222222", anchor: "start" }
    }

    pub(crate) const fn bold(self) -> Self {
        Type { bold: true, ..self }
    }

    pub(crate) const fn colour(self, colour: &'static str) -> Self {
        Type { colour, ..self }
    }

    pub(crate) const fn centred(self) -> Self {
        Type { anchor: "middle", ..self }
    }

    pub(crate) const fn flush_right(self) -> Self {
        Type { anchor: "end", ..self }
    }

    /// The width of a text, in a wide font.
    pub(crate) fn width(&self, text: &str) -> f64 {
        0.58 * self.size * text.chars().count() as f64
    }
}

impl Drawing {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let mut drawing = Drawing { width, height, body: String::new() };
        let page = Rect { x: 0.0, y: 0.0, width, height };
        drawing.rect(page, "#ffffff");
        drawing
    }

    pub(crate) fn rect(&mut self, Rect { x, y, width, height }: Rect, fill: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        ));
    }

    pub(crate) fn frame(&mut self, Rect { x, y, width, height }: Rect, stroke: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="none" stroke="{stroke}"/>"#
        ));
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
        self.add(format_args!(r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{stroke}"/>"#));
    }

    pub(crate) fn dashes(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
        self.add(format_args!(
            r#"<path d="M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}" stroke="{stroke}" stroke-dasharray="3 3"/>"#
        ));
    }

    /// Many dots of one colour.
    pub(crate) fn dots(&mut self, centres: impl IntoIterator<Item = (f64, f64)>, size: f64, colour: &str) {
        let mut path = String::new();
        for (x, y) in centres {
            // As good as no length, and round ends.
            let _ = write!(path, "M{x:.1} {y:.1}h.01");
        }
        if !path.is_empty() {
            self.add(format_args!(
                r#"<path d="{path}" stroke="{colour}" stroke-width="{size}" stroke-linecap="round" stroke-opacity="0.6"/>"#
            ));
        }
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), look: Type, text: &str) {
        self.write_text(format_args!(r#"x="{x:.1}" y="{y:.1}""#), look, text);
    }

    /// A text that reads from the bottom up.
    pub(crate) fn upright(&mut self, (x, y): (f64, f64), look: Type, text: &str) {
        self.write_text(format_args!(r#"transform="translate({x:.1} {y:.1}) rotate(-90)""#), look, text);
    }

    pub(crate) fn finish(self) -> String {
        let Drawing { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n{body}</svg>\n"
        )
    }

    fn write_text(&mut self, place: fmt::Arguments<'_>, look: Type, text: &str) {
        let Type { size, colour, anchor, .. } = look;
        let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
        let text = escaped(text);
        self.add(format_args!(
            r#"<text {place} font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>{text}</text>"#
        ));
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = writeln!(self.body, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_drawn_as_it_is() {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.text((1.0, 2.0), Type::new(12.0), "a < b & \"c\" > d");
        let svg = drawing.finish();
        let document = roxmltree::Document::parse(&svg).unwrap();
        assert!(document.descendants().any(|node| node.text() == Some("a < b & \"c\" > d")));
    }

    #[test]
    fn no_dots_are_no_element() {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.dots([], 2.0, "#000000");
        assert!(!drawing.finish().contains("path"));
    }
}
