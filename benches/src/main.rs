//! Measures tripcoil beside other libraries and the machine itself; see `--help`.

mod axis;
mod budget;
mod chart;
mod crowd;
mod keyed;
mod machine;
mod memory;
mod path;
mod peers;
mod registry;
mod report;
mod results;
mod scale;
mod storm;
mod table;
mod timing;
mod work;
mod yardsticks;

use std::error::Error;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use results::{Effort, Results};
use scale::Growth;

const HELP: &str = "\
Measures tripcoil beside other libraries, and prints the figures as Markdown.

cargo run --release -p benches -- [OPTION]...

  --quick           fewer rounds and a short storm, for a first impression
  --rounds N        number of rounds, if time permits; default 201
  --storm SECONDS   length of each storm of rejections; default 10
  --registry        only the memory of a million breakers in a registry
  --scale           only cost and memory against threads and keys
  --check           with --scale: fail if a breaker or a key exceeds its memory bound
  --svg FILE        file for the chart; default docs/speed.svg, none with --quick
  --scale-svg FILE  file for the chart of --scale; default docs/scale.svg, none with --quick
  --markdown FILE   also write the summary into FILE, between the markers <!-- speed --> and <!-- /speed -->
";

const BEGIN: &str = "<!-- speed -->\n";
const END: &str = "<!-- /speed -->";

struct Options {
    effort: Effort,
    registry: bool,
    scale: bool,
    check: bool,
    svg: Option<PathBuf>,
    scale_svg: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = options()? else {
        print!("{HELP}");
        return Ok(());
    };
    if options.registry {
        print!("{}", report::registry(registry::Keyed::measure()));
        return Ok(());
    }
    let machine = machine::describe();
    if options.scale {
        let growth = Growth::measure(options.effort.scale);
        print!("{}\nOn: {machine}.\n", scale::tables(&growth));
        draw_scale(&growth, &machine, options.scale_svg)?;
        return if options.check { check_memory(&growth) } else { Ok(()) };
    }
    let results = Results::measure(options.effort);
    print!("{}", report::full(&results, &machine));
    draw_scale(&results.growth, &machine, options.scale_svg)?;
    if let Some(file) = options.svg {
        fs::write(file, chart::svg(&results, &machine))?;
    }
    if let Some(file) = options.markdown {
        let text = fs::read_to_string(&file)?;
        let (before, rest) = text.split_once(BEGIN).ok_or("the file has no line <!-- speed -->")?;
        let (_, after) = rest.split_once(END).ok_or("the file has no <!-- /speed -->")?;
        let summary = report::summary(&results, &machine);
        fs::write(file, format!("{before}{BEGIN}\n{summary}\n{END}{after}"))?;
    }
    Ok(())
}

fn draw_scale(growth: &Growth, machine: &str, file: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    if let Some(file) = file {
        fs::write(file, scale::chart::svg(growth, machine))?;
    }
    Ok(())
}

/// Judges the bytes, which hardly differ from one run to the next. The times do, so they are left to the reader.
fn check_memory(growth: &Growth) -> Result<(), Box<dyn Error>> {
    let checks = budget::growth::memory(growth, "");
    print!("\n{}", report::growth_table(&checks));
    let missed = checks.iter().filter(|check| !check.is_met).count();
    if missed == 0 { Ok(()) } else { Err(format!("{missed} of {} bounds are not met", checks.len()).into()) }
}

fn options() -> Result<Option<Options>, Box<dyn Error>> {
    let words: Vec<_> = env::args().skip(1).collect();
    let quick = words.iter().any(|word| word == "--quick");
    let default_svg = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/speed.svg");
    let default_scale_svg = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scale.svg");
    let mut options = Options {
        effort: if quick { Effort::QUICK } else { Effort::FULL },
        registry: words.iter().any(|word| word == "--registry"),
        check: words.iter().any(|word| word == "--check"),
        scale: words.iter().any(|word| word == "--scale"),
        svg: (!quick).then(|| default_svg.into()),
        scale_svg: (!quick).then(|| default_scale_svg.into()),
        markdown: None,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--quick" | "--registry" | "--scale" | "--check" => {}
            "--rounds" => {
                let rounds = value()?.parse::<NonZeroU32>()?.get();
                (options.effort.rounds.most, options.effort.scale.most) = (rounds, rounds);
            }
            "--storm" => options.effort.storm = Duration::try_from_secs_f64(value()?.parse()?)?,
            "--svg" => options.svg = Some(value()?.into()),
            "--scale-svg" => options.scale_svg = Some(value()?.into()),
            "--markdown" => options.markdown = Some(value()?.into()),
            "--help" => return Ok(None),
            _ => return Err(format!("unknown option {word}; --help lists the options").into()),
        }
    }
    if options.check && !options.scale {
        return Err("--check needs --scale".into());
    }
    Ok(Some(options))
}
