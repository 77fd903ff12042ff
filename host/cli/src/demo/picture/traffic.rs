//! Rates and errors by version, as sparklines.

use ratatui::Frame as Terminal;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};

use super::{ERROR_COLOR, color, role_name};
use crate::demo::frame::{Frame, percent};
use crate::demo::observe::Revision;
use crate::demo::traffic::Measured;

/// Versions that are shown: at most two serve at a time.
const VERSIONS: u16 = 2;
/// Terminals with at least this many rows get taller curves.
const TALL: u16 = 30;
const WORDS_COLUMNS: u16 = 30;
/// Columns between the curves.
const GAP: u16 = 1;
/// Rows of the border and the headings.
const AROUND: u16 = 3;
/// Curves are drawn in thousandths; an error rate of a tenth is full height.
const THOUSANDTHS: f64 = 1000.0;
const FULL_OF_ERRORS: u64 = 100;

const fn curve_rows(area: Rect) -> u16 {
    if area.height >= TALL { 3 } else { 2 }
}

/// Number of rows that it takes on a terminal of this size.
pub const fn rows(terminal: Rect) -> u16 {
    VERSIONS * curve_rows(terminal) + AROUND
}

pub fn draw(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let height = curve_rows(terminal.area());
    let block = Block::bordered().title(" Requests by version (Prometheus API) ");
    let inner = block.inner(area);
    terminal.render_widget(block, area);
    let [head, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(inner);
    let [_, rates, errors] = columns(head);
    terminal.render_widget(Line::from("requests/s").dim(), rates);
    terminal.render_widget(Line::from("errors, up to 10 %").dim(), errors);
    let places: [Rect; VERSIONS as usize] =
        Layout::vertical([Constraint::Length(height); VERSIONS as usize]).areas(body);
    let revisions = &frame.seen.revisions;
    let newest = revisions.iter().skip(revisions.len().saturating_sub(VERSIONS as usize));
    // One scale for all, so that the curves can be compared.
    let most =
        frame.traffic.history.iter().flat_map(|measured| measured.values()).map(|one| one.rate).fold(0.0, f64::max);
    for (revision, place) in newest.zip(places) {
        draw_version(terminal, frame, revision, place, most);
    }
}

fn columns(area: Rect) -> [Rect; 3] {
    Layout::horizontal([Constraint::Length(WORDS_COLUMNS), Constraint::Fill(1), Constraint::Fill(1)])
        .spacing(GAP)
        .areas(area)
}

fn draw_version(terminal: &mut Terminal<'_>, frame: &Frame<'_>, revision: &Revision, place: Rect, most: f64) {
    let [words, rates, errors] = columns(place);
    let measured = frame.traffic.of(&revision.version).unwrap_or_default();
    terminal.render_widget(Paragraph::new(describe(revision, measured)), words);
    let full = thousandths(most).max(1);
    draw_curve(terminal, rates, color(revision.role), full, |width| {
        curve(frame, &revision.version, width, |measured| measured.rate)
    });
    draw_curve(terminal, errors, ERROR_COLOR, FULL_OF_ERRORS, |width| {
        curve(frame, &revision.version, width, |measured| measured.errors.unwrap_or_default())
    });
}

fn describe(revision: &Revision, measured: Measured) -> Vec<Line<'static>> {
    let name = format!(" {} {:<6}", revision.version, role_name(revision.role));
    let errors = measured.errors.map_or_else(|| "-".to_owned(), percent);
    let errors_color = if measured.errors.is_some_and(|errors| errors > 0.0) { ERROR_COLOR } else { Color::Reset };
    let p95 = measured.p95.map_or_else(|| "-".to_owned(), |seconds| format!("{:.0} ms", seconds * THOUSANDTHS));
    vec![
        Line::from(vec![
            Span::from(name).fg(color(revision.role)).bold(),
            Span::from(format!(" {:>6.0} requests/s", measured.rate)),
        ]),
        Line::from(vec![
            Span::from(format!(" {errors:>7} errors")).fg(errors_color),
            Span::from(format!(", p95 {p95}")),
        ]),
    ]
}

fn draw_curve(terminal: &mut Terminal<'_>, area: Rect, color: Color, full: u64, data: impl FnOnce(u16) -> Vec<u64>) {
    terminal.render_widget(Sparkline::default().data(data(area.width)).max(full).fg(color), area);
}

/// The newest measurements, right-aligned in this many columns.
fn curve(frame: &Frame<'_>, version: &str, width: u16, of: impl Fn(&Measured) -> f64) -> Vec<u64> {
    let width = usize::from(width);
    let history = &frame.traffic.history;
    let values = history.iter().skip(history.len().saturating_sub(width));
    let values = values.map(|measured| measured.get(version).map_or(0, |measured| thousandths(of(measured))));
    let before = std::iter::repeat_n(0, width.saturating_sub(history.len()));
    before.chain(values).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and shares are small and not negative"
)]
fn thousandths(number: f64) -> u64 {
    (number * THOUSANDTHS).round() as u64
}
