//! The few shapes that charts are made of, as SVG text.
//!
//! Invariant: what comes out is well-formed, whatever the texts are, and refers to nothing outside
//! itself; it paints its own background, so that it reads the same on a light page and on a dark one.
//! What it deliberately does not do: know what a chart is.

/// Fonts that are there already: a picture in a page may load none.
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', \
                     Arial, sans-serif";
const BACKGROUND: &str = "#ffffff";
const EDGE: &str = "#d0d7de";

/// A place, in units of the drawing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// How a text stands to its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    pub(super) size: u32,
    pub(super) weight: u32,
    pub(super) colour: &'static str,
}

/// A bar from its left end at the middle of its height.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bar {
    pub(super) from: Point,
    pub(super) length: f64,
    pub(super) thickness: f64,
    pub(super) fill: &'static str,
    pub(super) edge: &'static str,
}

/// A drawing in the making.
#[derive(Debug)]
pub(super) struct Drawing {
    width: f64,
    body: String,
}

impl Drawing {
    pub(super) fn new(width: f64) -> Self {
        Self {
            width,
            body: String::new(),
        }
    }

    pub(super) fn bar(&mut self, bar: Bar) {
        let Bar {
            from,
            length,
            thickness,
            fill,
            edge,
        } = bar;
        let top = from.y - thickness / 2.0;
        self.body += &format!(
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{length:.1}\" \
             height=\"{thickness:.1}\" fill=\"{fill}\" stroke=\"{edge}\"/>\n",
            from.x
        );
    }

    /// A thin line.
    pub(super) fn line(&mut self, class: &str, ends: [Point; 2], colour: &str) {
        let [from, to] = ends;
        self.body += &format!(
            "<line class=\"{}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" \
             stroke=\"{colour}\" stroke-width=\"1.3\"/>\n",
            escaped(class),
            from.x,
            from.y,
            to.x,
            to.y
        );
    }

    pub(super) fn text(&mut self, at: Point, anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::End => "end",
        };
        self.body += &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" font-size=\"{}\" \
             font-weight=\"{}\" fill=\"{}\">{}</text>\n",
            at.x,
            at.y,
            font.size,
            font.weight,
            font.colour,
            escaped(text)
        );
    }

    /// The whole file, with the title that readers are told who cannot see it.
    pub(super) fn finish(self, height: f64, title: &str) -> String {
        let Self { width, body } = self;
        let title = escaped(title);
        let (inner_width, inner_height) = (width - 1.0, height - 1.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" font-family=\"{FONTS}\">\n\
             <title>{title}</title>\n\
             <rect x=\"0.5\" y=\"0.5\" width=\"{inner_width:.1}\" height=\"{inner_height:.1}\" rx=\"6\" \
             fill=\"{BACKGROUND}\" stroke=\"{EDGE}\"/>\n{body}</svg>\n"
        )
    }
}

/// A text that means itself, in an element and in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            // Most of these have no place in XML, not even escaped.
            _ if c.is_control() => safe.push(' '),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_themselves() {
        let text = escaped("a<b> & \"c\"\u{0}\n'd' µ");
        assert_eq!(text, "a&lt;b&gt; &amp; &quot;c&quot;  'd' µ");
    }
}
