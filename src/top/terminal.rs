//! The terminal: taken over while a server is watched, and given back as it was, whatever ends the program.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::thread;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

use super::TopError;
use super::view::Line;

/// The other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// The cursor, and the screen that was there before.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Columns and rows of a terminal that does not know its own.
const USUAL_SIZE: (usize, usize) = (80, 24);
/// Keys that end: `q`, and what Ctrl-C and Ctrl-D send.
const QUIT: [u8; 4] = [b'q', b'Q', 3, 4];

/// A terminal that was taken over.
pub struct Screen {
    /// Its modes before.
    before: Termios,
    /// Says when a key that ends was pressed, or the terminal is gone.
    keys: mpsc::Receiver<()>,
}

impl Screen {
    /// Take the terminal over; nothing where there is none. Errors: it can not be written to.
    pub fn open(out: &mut dyn Write) -> Result<Option<Self>, TopError> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).map_err(io::Error::from)?;
        let mut modes = before.clone();
        // Keys come one by one and unseen; Ctrl-C is one of them, so that it can not end us before all is put right.
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(stdin(), OptionalActions::Now, &modes).map_err(io::Error::from)?;
        let (pressed, keys) = mpsc::channel(1);
        let screen = Self { before, keys };
        // Ends with the process: nothing can interrupt its reading.
        thread::spawn(move || {
            let ends = |octet: &io::Result<u8>| octet.as_ref().map_or(true, |octet| QUIT.contains(octet));
            drop(io::stdin().lock().bytes().find(ends));
            // Nobody may be waiting any more.
            let _ = pressed.blocking_send(());
        });
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Some(screen))
    }

    /// Wait for a key that ends.
    pub async fn quit(&mut self) {
        self.keys.recv().await;
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        match tcgetwinsize(stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
            _ => USUAL_SIZE,
        }
    }

    /// Show lines in place of those before. They are written over, so that nothing flickers.
    pub fn draw(&self, out: &mut dyn Write, lines: &[Line]) -> Result<(), TopError> {
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().enumerate() {
            // No line end after the last: it would scroll the screen.
            text += if at > 0 { "\r\n" } else { "" };
            text += if line.strong { "\x1b[1m" } else { "" };
            text += &line.text;
            text += "\x1b[0m\x1b[K";
        }
        out.write_all((text + "\x1b[J").as_bytes())?;
        Ok(out.flush()?)
    }

    /// Give the terminal back. Errors: it can not be written to.
    pub fn close(self, out: &mut dyn Write) -> Result<(), TopError> {
        // What is still in the buffer must not come after the old screen is back.
        Ok(out.flush()?)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone, and then there is nothing to put right.
        let mut out = io::stdout();
        let _ = out.write_all(LEAVE.as_bytes());
        let _ = out.flush();
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
