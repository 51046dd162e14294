//! The command line.

pub(crate) const USAGE: &str = "usage: operated [--port N] [--redis URL] [--calm]

  --port N      the port on the loopback interface, 8080 by default; 0 takes a free one
  --redis URL   the store of the fleet, for example redis://127.0.0.1:6379; without it, the fleet is this process alone
  --calm        the upstreams fail only when they are told to";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) redis: Option<String>,
    pub(crate) is_calm: bool,
}

impl Options {
    pub(crate) fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options { port: 8080, redis: None, is_calm: false };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--port" => {
                    let port = value()?;
                    options.port = port.parse().map_err(|_| format!("--port is {port:?}, allowed is 0 to 65535"))?;
                }
                "--redis" => options.redis = Some(value()?),
                "--calm" => options.is_calm = true,
                _ => return Err(format!("unknown option {argument:?}")),
            }
        }
        Ok(options)
    }
}
