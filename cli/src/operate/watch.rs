//! `tripcoil status --watch`: a table that a console's events keep up to date.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyModifiers};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, event, execute, queue};

use super::client::{Client, Query, lost};
use super::facts::Overview;
use super::fleet::Fleet;
use super::live::Live;
use super::table::{self, Look};
use super::terminal::look;
use super::text::fitted;
use crate::command::Stop;
use crate::failure::Failure;

/// How often keys and news are looked for.
const TICK: Duration = Duration::from_millis(100);
/// How long it waits before it connects again.
pub(super) const RETRY: Duration = Duration::from_secs(2);

pub(super) enum News {
    Overview(Box<Overview>),
    Lost(Failure),
}

pub(super) fn run(client: Client, query: &Query) -> Result<(), Stop> {
    // What is wrong from the start is said on the plain terminal.
    client.page(query, 0, 1)?;
    let query = query.clone();
    watch(move |news, is_over| follow(&client, &query, news, is_over))
}

pub(super) fn run_fleet(fleet: Fleet, query: &Query) -> Result<(), Stop> {
    fleet.overview(query)?;
    let query = query.clone();
    watch(move |news, is_over| fleet.watch(&query, news, is_over))
}

fn watch(follow: impl FnOnce(&SyncSender<News>, &AtomicBool) + Send + 'static) -> Result<(), Stop> {
    let is_ended = Arc::new(AtomicBool::new(false));
    let on_signal = is_ended.clone();
    // A terminal must not stay raw when somebody ends the process.
    let _ = ctrlc::set_handler(move || on_signal.store(true, Ordering::Relaxed));
    let (sender, news) = sync_channel(1);
    let is_over = is_ended.clone();
    // This thread is not joined: it may be waiting for the source.
    thread::Builder::new()
        .name("tripcoil-events".into())
        .spawn(move || follow(&sender, &is_over))
        .map_err(|error| Failure::run(format!("no thread: {error}")))?;
    let result = Screen::open().and_then(|screen| show(&screen, &news, &is_ended));
    is_ended.store(true, Ordering::Relaxed);
    Ok(result?)
}

/// Passes on what comes, and connects again when it ends.
fn follow(client: &Client, query: &Query, news: &SyncSender<News>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let lost = read_stream(client, query, news, is_over).err();
        if lost.is_some_and(|lost| news.send(News::Lost(lost)).is_err()) {
            return;
        }
        for _ in 0..RETRY.as_millis() / TICK.as_millis() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(TICK);
        }
    }
}

fn read_stream(client: &Client, query: &Query, news: &SyncSender<News>, is_over: &AtomicBool) -> Result<(), Failure> {
    let mut live = Live::default();
    let mut messages = client.stream(query)?;
    while let Some(message) = messages.next().map_err(|error| lost(&error))? {
        if is_over.load(Ordering::Relaxed) {
            return Ok(());
        }
        let message = serde_json::from_str(&message.data).map_err(|error| lost(&error))?;
        live.apply(message);
        let overview = live.overview().map_err(|error| lost(&error))?;
        if news.send(News::Overview(Box::new(overview))).is_err() {
            return Ok(());
        }
    }
    Err(lost(&"the console ended it"))
}

/// A terminal in its alternate screen, put back when dropped.
struct Screen;

impl Screen {
    fn open() -> io::Result<Screen> {
        terminal::enable_raw_mode()?;
        let screen = Screen;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

fn show(_: &Screen, news: &Receiver<News>, is_ended: &AtomicBool) -> io::Result<()> {
    let mut overview = None;
    let mut lost = None;
    let mut is_stale = true;
    while !is_ended.load(Ordering::Relaxed) {
        match news.try_recv() {
            Ok(News::Overview(new)) => {
                (overview, lost, is_stale) = (Some(*new), None, true);
            }
            Ok(News::Lost(failure)) => (lost, is_stale) = (Some(failure), true),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Ok(()),
        }
        if std::mem::take(&mut is_stale) {
            draw(overview.as_ref(), lost.as_ref())?;
        }
        if event::poll(TICK)? {
            match event::read()? {
                Event::Key(key) if key.is_press() => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                    _ => {}
                },
                Event::Resize(..) => is_stale = true,
                _ => {}
            }
        }
    }
    Ok(())
}

fn draw(overview: Option<&Overview>, lost: Option<&Failure>) -> io::Result<()> {
    let rows = terminal::size().map_or(24, |(_, rows)| usize::from(rows));
    let mut out = io::BufWriter::new(io::stdout().lock());
    queue!(out, cursor::MoveTo(0, 0))?;
    for (number, line) in frame(overview, lost, look(), rows).iter().enumerate() {
        if number > 0 {
            write!(out, "\r\n")?;
        }
        write!(out, "{line}")?;
        queue!(out, Clear(ClearType::UntilNewLine))?;
    }
    queue!(out, Clear(ClearType::FromCursorDown))?;
    out.flush()
}

/// At most `rows` lines.
fn frame(overview: Option<&Overview>, lost: Option<&Failure>, look: Look, rows: usize) -> Vec<String> {
    let columns = look.columns.unwrap_or(80);
    let fit = |text: &str| fitted(text, columns).into_owned();
    let head = match (overview, lost) {
        (_, Some(lost)) => fit(&format!("trying again: {lost}")),
        (None, None) => fit("connecting"),
        (Some(overview), None) => fit(&table::summary(overview)),
    };
    let style = if lost.is_some() { anstyle::Style::new().invert() } else { anstyle::Style::new().bold() };
    let mut lines = vec![table::painted(&head, style, look)];
    if let Some(overview) = overview.filter(|_| rows > 4) {
        lines.push(String::new());
        // Of the rows that fit, the widths of the columns are taken.
        let mut shown = overview.clone();
        shown.breakers.truncate(rows - 4);
        let more = overview.matched.saturating_sub(shown.breakers.len());
        if shown.breakers.is_empty() {
            lines.push(fit(if overview.fleet.is_some() {
                "no breaker that is not closed matches"
            } else {
                "no breaker matches"
            }));
        } else {
            lines.extend(table::lines(&shown, look));
        }
        if more > 0 {
            lines.push(fit(&format!("{more} more")));
        }
    }
    lines.truncate(rows);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_frame_fits_into_its_screen() {
        let many: Vec<_> = (0..50).map(|n| json!({"id": n, "name": "x".repeat(300), "state": "open"})).collect();
        let overview: Overview = serde_json::from_value(json!({"matched": 700, "breakers": many})).unwrap();
        let lost = Failure::unreachable("a very long reason ".repeat(20));
        for rows in 0..60 {
            for columns in [1, 20, 200] {
                let look = Look { has_colour: false, columns: Some(columns) };
                for lost in [None, Some(&lost)] {
                    let lines = frame(Some(&overview), lost, look, rows);
                    assert!(lines.len() <= rows, "{} lines in {rows}", lines.len());
                    assert!(lines.iter().all(|line| super::super::text::width(line) <= columns), "{lines:?}");
                }
            }
        }
        let look = Look { has_colour: false, columns: Some(80) };
        assert_eq!(frame(Some(&overview), None, look, 10).last().unwrap(), "694 more");
    }
}
