//! The demo as a picture in the terminal.

mod traffic;

use kulta_api::RolloutPhase;
use ratatui::Frame as Terminal;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Padding, Paragraph};

use super::frame::{Frame, grouped};
use super::observe::{ObservedRollout, Revision, Role};

const STABLE_COLOR: Color = Color::Green;
const CANARY_COLOR: Color = Color::Yellow;
const OLD_COLOR: Color = Color::DarkGray;
const ERROR_COLOR: Color = Color::Red;

/// Distinguishable without colors too.
const STABLE_FILL: &str = "█";
const CANARY_FILL: &str = "▒";

/// Title, current stage, last user action.
const HEAD_ROWS: u16 = 3;
/// The phase and five lines of steps, with a border.
const ROLLOUT_ROWS: u16 = 8;
const FOOT_ROWS: u16 = 1;
/// Columns for the steps.
const STEPS_COLUMNS: u16 = 32;
/// Columns for the pods' dots: if there are more pods, only their number is shown.
const DOTS: u64 = 12;

pub fn draw(terminal: &mut Terminal<'_>, frame: &Frame<'_>) {
    let area = terminal.area();
    let [head, rollout, requests, logs, foot] = Layout::vertical([
        Constraint::Length(HEAD_ROWS),
        Constraint::Length(ROLLOUT_ROWS),
        Constraint::Length(traffic::rows(area)),
        Constraint::Min(0),
        Constraint::Length(FOOT_ROWS),
    ])
    .areas(area);
    draw_head(terminal, frame, head);
    draw_rollout(terminal, frame, rollout);
    traffic::draw(terminal, frame, requests);
    let [why, events] = Layout::horizontal([Constraint::Percentage(45), Constraint::Percentage(55)]).areas(logs);
    draw_reasons(terminal, frame, why);
    draw_events(terminal, frame, events);
    draw_foot(terminal, frame, foot);
}

pub(super) const fn color(role: Role) -> Color {
    match role {
        Role::Stable => STABLE_COLOR,
        Role::Canary => CANARY_COLOR,
        Role::Old => OLD_COLOR,
    }
}

pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Stable => "stable",
        Role::Canary => "canary",
        Role::Old => "old",
    }
}

fn draw_head(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let clock = format!("{:.1} s, speed {}, Ctrl-C ends ", frame.at.as_secs_f64(), frame.speed);
    let action = frame.actions.last().map(String::as_str).unwrap_or_default();
    let lines = vec![
        Line::from(" KULTA: the real controller, a cluster in memory".bold()),
        Line::from(format!(" {}", frame.title)).fg(Color::Cyan),
        Line::from(format!(" {action}")).fg(Color::Magenta),
    ];
    terminal.render_widget(Paragraph::new(lines), area);
    terminal.render_widget(Line::from(clock.dim()).right_aligned(), Rect { height: 1, ..area });
}

fn draw_rollout(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let block = Block::bordered().title(" Rollout shop/web ");
    let inner = block.inner(area);
    terminal.render_widget(block, area);
    let [left, right] = Layout::horizontal([Constraint::Length(STEPS_COLUMNS), Constraint::Min(0)]).areas(inner);
    if let Some(rollout) = &frame.seen.rollout {
        terminal.render_widget(Paragraph::new(steps(rollout)), left);
    }
    let mut lines = weight_bar(frame, right.width);
    lines.extend(frame.seen.revisions.iter().map(pods));
    terminal.render_widget(Paragraph::new(lines), right);
}

fn steps(rollout: &ObservedRollout) -> Vec<Line<'static>> {
    let (phase, style) = match rollout.phase {
        Some(phase @ RolloutPhase::Healthy) => (phase.as_str(), Style::new().fg(STABLE_COLOR)),
        Some(phase @ RolloutPhase::Degraded) => (phase.as_str(), Style::new().fg(ERROR_COLOR)),
        Some(phase @ (RolloutPhase::Progressing | RolloutPhase::Paused)) => {
            (phase.as_str(), Style::new().fg(CANARY_COLOR))
        }
        None => ("", Style::new()),
    };
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {phase} "), style.bold()),
        Span::from(rollout.message.split(':').next().unwrap_or_default().to_owned()).dim(),
    ])];
    let last = ("all requests".to_owned(), rollout.steps.len());
    let steps = rollout.steps.iter().cloned().enumerate().map(|(index, step)| (step, index)).chain([last]);
    lines.extend(steps.map(|(step, index)| {
        if rollout.aborted {
            Line::from(format!(" ✗ {step}")).dim()
        } else if index < rollout.step || rollout.stable {
            Line::from(format!(" ✓ {step}")).fg(STABLE_COLOR)
        } else if index == rollout.step {
            Line::from(format!(" ▶ {step}")).fg(CANARY_COLOR).bold()
        } else {
            Line::from(format!("   {step}")).dim()
        }
    }));
    lines
}

/// The route's weights, and which version is on which side.
fn weight_bar(frame: &Frame<'_>, width: u16) -> Vec<Line<'static>> {
    let weights = frame.seen.weights;
    let all = weights.stable.saturating_add(weights.canary);
    let columns = u32::from(width.saturating_sub(1));
    // Until the first version is stable, it is on neither side.
    let Some(stable) = frame.seen.version(Role::Stable).filter(|_| all > 0) else {
        return vec![Line::default(), Line::default()];
    };
    let canary_columns = columns.saturating_mul(weights.canary).div_ceil(all);
    let bar =
        |columns: u32, fill: &str, color: Color| Span::styled(fill.repeat(columns as usize), Style::new().fg(color));
    let canary = frame.seen.version(Role::Canary).map(|version| format!("{version} canary {} %", weights.canary));
    let mut text = vec![Span::styled(format!("{stable} stable {} %", weights.stable), Style::new().fg(STABLE_COLOR))];
    if let Some(canary) = canary {
        let used = text.iter().map(Span::width).sum::<usize>().saturating_add(canary.chars().count());
        text.push(Span::from(" ".repeat((columns as usize).saturating_sub(used))));
        text.push(Span::styled(canary, Style::new().fg(CANARY_COLOR)));
    }
    vec![
        Line::from(vec![
            bar(columns.saturating_sub(canary_columns), STABLE_FILL, STABLE_COLOR),
            bar(canary_columns, CANARY_FILL, CANARY_COLOR),
        ]),
        Line::from(text),
    ]
}

/// A dot for each pod.
fn pods(revision: &Revision) -> Line<'static> {
    let there = revision.pods.max(revision.wanted).min(DOTS);
    let ready = revision.ready.min(there);
    let dots: String = (0..there).map(|pod| if pod < ready { '●' } else { '○' }).collect();
    let role = role_name(revision.role);
    Line::from(vec![
        Span::from(format!("revision {} {} {role:<6} ", revision.number, revision.version)),
        Span::styled(format!("{dots:<6}"), Style::new().fg(color(revision.role))),
        Span::from(format!(" {}/{} pods ready", revision.ready, revision.wanted)).dim(),
    ])
}

fn draw_reasons(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let block = Block::bordered().title(" Why (status.kulta) ").padding(Padding::horizontal(1));
    let rows = usize::from(block.inner(area).height);
    let rollout = frame.seen.rollout.as_ref();
    let reasons = rollout.into_iter().flat_map(|rollout| &rollout.decisions).map(|entry| entry.reason.clone());
    // The reason of a pause repeats the step; the condition's reason is next to the phase.
    let message = rollout
        .filter(|rollout| rollout.phase == Some(RolloutPhase::Degraded))
        .map(|rollout| rollout.message.split_once(": ").map_or(rollout.message.as_str(), |(_, text)| text).to_owned());
    let lines: Vec<Line<'static>> = reasons.chain(message).map(Line::from).collect();
    terminal.render_widget(Paragraph::new(newest(lines, rows)).block(block), area);
}

fn draw_events(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let block = Block::bordered().title(" CDEvents ").padding(Padding::horizontal(1));
    let rows = usize::from(block.inner(area).height);
    let lines = frame.events.iter().map(|event| {
        Line::from(vec![Span::from(event.name.clone()).fg(Color::Cyan), Span::from(format!("  {}", event.summary))])
    });
    terminal.render_widget(Paragraph::new(newest(lines.collect(), rows)).block(block), area);
}

fn newest(mut lines: Vec<Line<'static>>, rows: usize) -> Vec<Line<'static>> {
    lines.split_off(lines.len().saturating_sub(rows))
}

fn draw_foot(terminal: &mut Terminal<'_>, frame: &Frame<'_>, area: Rect) {
    let requests = frame.requests;
    let sent = requests.succeeded.saturating_add(requests.failed).saturating_add(requests.unserved);
    let text = format!(
        " {} requests: {} failed to be served, {} errors   controller: {} API writes, {} Kubernetes events",
        grouped(sent),
        grouped(requests.unserved),
        grouped(requests.failed),
        frame.writes,
        frame.kube_events
    );
    terminal.render_widget(Line::from(text).dim(), area);
}

#[cfg(test)]
#[path = "picture/picture_tests.rs"]
mod picture_tests;
