//! Where things stand on a chart: panels of horizontal bars, two beside each other.
//!
//! Invariant: every bar begins at zero on a linear scale that its panel's longest whisker fits, and says
//! its value beside it, so that no axis and no legend is needed. What it deliberately does not do: know
//! what the figures mean.

use super::figures::Figure;
use super::svg::{Anchor, Bar as Shape, Drawing, Font, Point};

/// As wide as a rendered page shows without scaling.
const WIDTH: f64 = 800.0;
const MARGIN: f64 = 26.0;
const COLUMNS: usize = 2;
const BETWEEN_COLUMNS: f64 = 30.0;
const PANEL_WIDTH: f64 = (WIDTH - 2.0 * MARGIN - BETWEEN_COLUMNS) / COLUMNS as f64;
/// The longest name of a system, and that of a count of sessions.
const LABEL_WIDTH: f64 = 122.0;
const VALUE_WIDTH: f64 = 60.0;
const BARS_WIDTH: f64 = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH;
const GAP: f64 = 7.0;

/// From the top to the title's and the lead's base lines, and to the first panel.
const TITLE_AT: f64 = 38.0;
const LEAD_AT: f64 = 60.0;
const PANELS_AT: f64 = 80.0;
/// A panel's heading with its two base lines, a bar with the room around it, and the room below a panel.
const HEADING: f64 = 46.0;
const TITLE: f64 = 16.0;
const SUBTITLE: f64 = 33.0;
const ROW: f64 = 22.0;
const BAR: f64 = 13.0;
const CAP: f64 = 3.5;
const BELOW_PANEL: f64 = 16.0;
const NOTE: f64 = 17.0;
/// Letters of a note that fit in a line, in whichever font there is.
const NOTE_LETTERS: usize = 112;
/// From the base line of a small text up to the middle of its letters.
const HALF_LETTER: f64 = 4.2;

const INK: &str = "#1f2328";
const GREY: &str = "#59636e";
const RULE: &str = "#d0d7de";
const WHISKER: &str = "#1f2328";

/// A chart, ready to be drawn.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) panels: Vec<Panel>,
    /// What is said below the panels.
    pub(super) notes: Vec<String>,
    /// Panels that have no data, by what they need.
    pub(super) left_out: Vec<String>,
}

/// Bars that share a scale.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// What stands at the other end of the title's line.
    pub(super) aside: Option<String>,
    pub(super) note: String,
    pub(super) bars: Vec<Bar>,
}

/// One bar of a panel.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    /// The median, as people write it.
    pub(super) value: String,
    pub(super) figure: Figure,
    pub(super) tone: Tone,
}

/// Whose a bar is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Ours,
    /// What nothing on this transport can exceed.
    Limit,
    Peer,
}

impl Tone {
    /// Fill and edge.
    fn colours(self) -> [&'static str; 2] {
        match self {
            Self::Ours => ["#4493f8", "#4493f8"],
            Self::Limit => ["#ffffff", "#8c959f"],
            Self::Peer => ["#b6c2cf", "#b6c2cf"],
        }
    }

    fn font(self) -> Font {
        match self {
            Self::Ours => font(12, 700, "#0550ae"),
            Self::Limit | Self::Peer => font(12, 400, INK),
        }
    }
}

impl Panel {
    fn height(&self) -> f64 {
        HEADING + ROW * self.bars.len() as f64 + BELOW_PANEL
    }
}

/// The whole file.
pub(super) fn draw(chart: &Chart) -> String {
    let mut drawing = Drawing::new(WIDTH);
    let mut text = |y, font, text: &str| {
        let at = Point { x: MARGIN, y };
        drawing.text(at, Anchor::Start, font, text);
    };
    text(TITLE_AT, font(19, 700, INK), chart.title);
    text(LEAD_AT, font(13, 400, GREY), chart.lead);
    let mut top = PANELS_AT;
    for row in chart.panels.chunks(COLUMNS) {
        for (column, panel) in row.iter().enumerate() {
            let x = MARGIN + column as f64 * (PANEL_WIDTH + BETWEEN_COLUMNS);
            draw_panel(&mut drawing, Point { x, y: top }, panel);
        }
        top += row.iter().map(Panel::height).fold(0.0, f64::max);
    }
    let end = WIDTH - MARGIN;
    let rule = [MARGIN, end].map(|x| Point { x, y: top });
    drawing.line("rule", rule, RULE);
    top += GAP;
    for line in chart.notes.iter().flat_map(|note| lines(note)) {
        top += NOTE;
        let at = Point { x: MARGIN, y: top };
        drawing.text(at, Anchor::Start, font(12, 400, GREY), &line);
    }
    drawing.finish(top + MARGIN - GAP, chart.title)
}

fn draw_panel(drawing: &mut Drawing, corner: Point, panel: &Panel) {
    let below = |by: f64| Point {
        y: corner.y + by,
        ..corner
    };
    drawing.text(
        below(TITLE),
        Anchor::Start,
        font(14, 600, INK),
        &panel.title,
    );
    drawing.text(
        below(SUBTITLE),
        Anchor::Start,
        font(12, 400, GREY),
        &panel.note,
    );
    if let Some(aside) = &panel.aside {
        let right = Point {
            x: corner.x + PANEL_WIDTH,
            ..below(TITLE)
        };
        drawing.text(right, Anchor::End, font(12, 600, INK), aside);
    }
    let longest = panel.bars.iter().map(|bar| bar.figure.spread.most);
    let longest = longest.fold(0.0, f64::max);
    // Where every figure is zero, every bar is.
    let scale = if longest > 0.0 {
        BARS_WIDTH / longest
    } else {
        0.0
    };
    let zero = corner.x + LABEL_WIDTH;
    for (index, bar) in panel.bars.iter().enumerate() {
        let y = corner.y + HEADING + ROW * (index as f64 + 0.5);
        draw_bar(drawing, Point { x: zero, y }, scale, bar);
    }
    let bottom = corner.y + HEADING + ROW * panel.bars.len() as f64;
    let base = [corner.y + HEADING, bottom].map(|y| Point { x: zero, y });
    drawing.line("base", base, GREY);
}

/// A bar whose zero is here, its whisker, and its two texts.
fn draw_bar(drawing: &mut Drawing, zero: Point, scale: f64, bar: &Bar) {
    let spread = bar.figure.spread;
    // A figure below zero would be a mistake of the clock; it is drawn as nothing.
    let at = |value: f64| Point {
        x: zero.x + value.max(0.0) * scale,
        ..zero
    };
    let [fill, edge] = bar.tone.colours();
    drawing.bar(Shape {
        from: zero,
        length: at(spread.median).x - zero.x,
        thickness: BAR,
        fill,
        edge,
    });
    let (least, most) = (at(spread.least), at(spread.most));
    if spread.least < spread.most {
        drawing.line("whisker", [least, most], WHISKER);
        for end in [least, most] {
            let cap = [-CAP, CAP].map(|by| Point {
                y: end.y + by,
                ..end
            });
            drawing.line("cap", cap, WHISKER);
        }
    }
    let beside = |x| Point {
        x,
        y: zero.y + HALF_LETTER,
    };
    let font = bar.tone.font();
    drawing.text(beside(zero.x - GAP), Anchor::End, font, &bar.label);
    drawing.text(beside(most.x + GAP), Anchor::Start, font, &bar.value);
}

fn font(size: u32, weight: u32, colour: &'static str) -> Font {
    Font {
        size,
        weight,
        colour,
    }
}

/// A note in lines that fit.
fn lines(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split_whitespace() {
        let last = lines.last_mut().expect("there is a line from the start on");
        if last.is_empty() {
            word.clone_into(last);
        } else if last.chars().count() + 1 + word.chars().count() <= NOTE_LETTERS {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
