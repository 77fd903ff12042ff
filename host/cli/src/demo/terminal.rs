//! The terminal while the picture is shown: taken over, and given back whatever happens.

use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;

use super::frame::Frame;
use super::picture;

/// Gives the terminal back when it is dropped, and before a panic of its thread is told.
pub struct Live {
    terminal: DefaultTerminal,
}

impl Live {
    /// # Errors
    /// When the terminal cannot be taken over.
    pub fn begin() -> Result<Self> {
        let previous = std::panic::take_hook();
        let drawing = std::thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() != drawing {
                // Such a panic is caught and counted by the controller; the picture goes on.
                tracing::error!("{panic}");
                return;
            }
            ratatui::restore();
            previous(panic);
        }));
        terminal::enable_raw_mode().context("take over the terminal (--plain does without)")?;
        let taken = take();
        if taken.is_err() {
            ratatui::restore();
        }
        Ok(Self { terminal: taken? })
    }

    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.terminal.draw(|to| picture::draw(to, frame)).context("draw the picture")?;
        Ok(())
    }

    /// Whether somebody has asked for the end: in this mode Ctrl-C is a key like any other. A terminal that has no keys any more is
    /// closed, and with it the one who watched is gone.
    #[must_use]
    pub fn wants_to_stop(&self) -> bool {
        loop {
            match event::poll(Duration::ZERO).and_then(|any| any.then(event::read).transpose()) {
                Ok(Some(event)) if ends(&event) => return true,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn take() -> Result<DefaultTerminal> {
    use ratatui::crossterm::{execute, terminal::EnterAlternateScreen};
    execute!(std::io::stdout(), EnterAlternateScreen).context("open the terminal's other screen")?;
    let mut terminal = ratatui::Terminal::new(ratatui::backend::CrosstermBackend::new(std::io::stdout()))
        .context("measure the terminal")?;
    terminal.clear().context("clear the terminal")?;
    Ok(terminal)
}

fn ends(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('c' | 'd') => control,
            KeyCode::Char('q') | KeyCode::Esc => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use ratatui::crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn control_c_and_q_end_and_other_keys_do_not() {
        let key = |code, modifiers| ends(&Event::Key(KeyEvent::new(code, modifiers)));

        let ended = [
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            key(KeyCode::Char('q'), KeyModifiers::NONE),
            key(KeyCode::Char('c'), KeyModifiers::NONE),
            key(KeyCode::Enter, KeyModifiers::NONE),
        ];

        assert_eq!(ended, [true, true, false, false]);
    }
}
