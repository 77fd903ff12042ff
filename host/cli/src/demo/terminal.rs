//! The terminal while the picture is shown: set up, and always restored.

use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal;

use super::frame::Frame;
use super::picture;

/// Restores the terminal when it is dropped, and before a panic of its thread is printed.
pub struct Live {
    terminal: DefaultTerminal,
}

impl Live {
    /// # Errors
    /// If the terminal cannot be set up.
    pub fn begin() -> Result<Self> {
        let previous = std::panic::take_hook();
        let drawing = std::thread::current().id();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().id() != drawing {
                // The controller catches and counts such a panic; the picture continues.
                tracing::error!("{panic}");
                return;
            }
            ratatui::restore();
            previous(panic);
        }));
        terminal::enable_raw_mode().context("set up the terminal (--plain needs none)")?;
        let taken = take();
        if taken.is_err() {
            ratatui::restore();
        }
        Ok(Self { terminal: taken? })
    }

    /// # Errors
    /// If the terminal is gone.
    pub fn show(&mut self, frame: &Frame<'_>) -> Result<()> {
        self.terminal.draw(|to| picture::draw(to, frame)).context("draw the picture")?;
        Ok(())
    }

    /// True if the user has requested the end: in raw mode Ctrl-C is an ordinary key. If the terminal delivers no more
    /// keys, it was closed.
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
    execute!(std::io::stdout(), EnterAlternateScreen).context("open the terminal's alternate screen")?;
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
