//! Checks of a Redis server that a fleet shares.

use std::time::{Duration, Instant, SystemTime};

use redis::{RedisError, RedisResult, Value};

use crate::fleet::BreakerName;
use crate::protocol::{Message, Op, VERSION, prefix};
use crate::redis::{Redis, told};
use crate::store::{Store, StoreError};
use crate::worker::unique;

/// The result of [`Redis::diagnose`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The version of the server, if the user may read it.
    pub server: Option<String>,
    /// How long the server took to answer.
    pub took: Duration,
    /// How far the server's clock is ahead of this machine's, in milliseconds. Negative if it is behind.
    pub clock_ahead_ms: i64,
    /// The commands that a fleet needs and this user may not use.
    pub forbidden: Vec<&'static str>,
    /// The error of the fleet's script, if it does not run.
    pub script_error: Option<String>,
    /// What the server does when its memory is full, such as `noeviction`, if the user may read it.
    pub eviction_policy: Option<String>,
    /// The limit of the server's memory in bytes, if the user may read it. 0 means no limit.
    pub memory_limit: Option<u64>,
    /// The live members.
    pub members: u64,
    /// Other versions of the protocol that use this fleet's name in this store.
    pub other_versions: Vec<u32>,
}

/// Every command that the script and its client need, in a form that changes nothing: the key does not exist, or the
/// arguments make no sense to the command itself.
const COMMANDS: [(&str, &[&str]); 22] = [
    ("TIME", &[]),
    ("EXISTS", &["KEY"]),
    ("GET", &["KEY"]),
    ("SET", &["KEY", "", "XX"]),
    ("ZADD", &["KEY", "XX", "1", "m"]),
    ("ZREM", &["KEY", "m"]),
    ("ZCARD", &["KEY"]),
    ("ZSCORE", &["KEY", "m"]),
    ("ZRANGEBYSCORE", &["KEY", "0", "1"]),
    ("ZREMRANGEBYSCORE", &["KEY", "0", "1"]),
    ("ZINTERCARD", &["1", "KEY"]),
    ("HMGET", &["KEY", "f"]),
    ("HSET", &["KEY", "f", "v", "odd"]),
    ("DEL", &["KEY"]),
    ("PEXPIRE", &["KEY", "1"]),
    ("SADD", &["KEY", "m"]),
    ("SREM", &["KEY", "m"]),
    ("SCARD", &["KEY"]),
    ("SMEMBERS", &["KEY"]),
    // Used by the client.
    ("EVALSHA", &["0000000000000000000000000000000000000000", "1", "KEY"]),
    ("SCRIPT", &["LOAD", "return 1"]),
    ("SUBSCRIBE", &["CHANNEL"]),
];

impl Redis {
    /// Checks whether the server suits a fleet of this name: permissions, clock, eviction and versions. It changes
    /// nothing that members see.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the server cannot be reached or refuses the user.
    ///
    /// ```no_run
    /// use tripcoil_fleet::Redis;
    ///
    /// let diagnosis = Redis::new("redis://127.0.0.1:6379")?.diagnose("checkout")?;
    /// assert!(diagnosis.forbidden.is_empty());
    /// # Ok::<(), tripcoil_fleet::StoreError>(())
    /// ```
    pub fn diagnose(&self, fleet: &str) -> Result<Diagnosis, StoreError> {
        self.examine(fleet).map_err(|error| told(&error))
    }

    /// Returns how many members have called this breaker. Dead members count for a while. 0 means that no member knows the
    /// breaker, or that none has called it yet.
    ///
    /// # Errors
    ///
    /// Returns a [`StoreError`] if the server cannot be reached or refuses the user.
    pub fn users(&self, fleet: &str, breaker: impl Into<BreakerName>) -> Result<u64, StoreError> {
        let key = format!("{}{}:u", prefix(fleet), breaker.into().as_escaped());
        let users = self.open().and_then(|mut connection| redis::cmd("SCARD").arg(key).query(&mut connection));
        users.map_err(|error| told(&error))
    }

    fn examine(&self, fleet: &str) -> RedisResult<Diagnosis> {
        let mut connection = self.open()?;
        let (begun, sent) = (Instant::now(), SystemTime::now());
        // A user without permissions gets its error below.
        let time = refused(redis::cmd("TIME").query::<(u64, u64)>(&mut connection))?;
        let took = begun.elapsed();
        let clock_ahead_ms = time.map_or(0, |(seconds, micros)| {
            let theirs = i128::from(seconds) * 1_000 + i128::from(micros / 1_000);
            let ours = (sent + took / 2).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(theirs - i128::try_from(ours.as_millis()).unwrap_or(0)).unwrap_or(i64::MAX)
        });
        let (members, script_error, seen) = match self.try_script(fleet) {
            Ok((members, run, seq)) => (members, None, Some((run, seq))),
            Err(error) => (0, Some(error.to_string()), None),
        };
        let forbidden = self.forbidden(fleet, seen)?;
        let info = |section: &str, name: &str| -> RedisResult<Option<String>> {
            let info = refused(redis::cmd("INFO").arg(section).query::<String>(&mut self.open()?))?;
            let lines = info.as_deref().unwrap_or_default().lines();
            let value = lines.filter_map(|line| line.split_once(':')).find(|(known, _)| *known == name);
            Ok(value.map(|(_, value)| value.trim().to_owned()))
        };
        let mut other_versions = Vec::new();
        for version in (0..=VERSION + 4).filter(|version| *version != VERSION) {
            let key = prefix(fleet).replacen(&format!(":{VERSION}:"), &format!(":{version}:"), 1) + "seq";
            if refused(redis::cmd("EXISTS").arg(key).query::<bool>(&mut connection))?.unwrap_or(false) {
                other_versions.push(version);
            }
        }
        Ok(Diagnosis {
            server: info("server", "redis_version")?,
            took,
            clock_ahead_ms,
            forbidden,
            script_error,
            eviction_policy: info("memory", "maxmemory_policy")?,
            memory_limit: info("memory", "maxmemory")?.and_then(|limit| limit.parse().ok()),
            members,
            other_versions,
        })
    }

    /// The live members, the name of the store's state, and its published changes.
    fn try_script(&self, fleet: &str) -> Result<(u64, String, u64), StoreError> {
        let caller = format!("doctor+{:016x}", unique());
        let reply = self.connect()?.run(fleet, &caller, &[Op::Snapshot { after: u64::MAX >> 11 }])?;
        Ok((reply.live, reply.run, reply.seq))
    }

    fn forbidden(&self, fleet: &str, seen: Option<(String, u64)>) -> RedisResult<Vec<&'static str>> {
        let (key, channel) = (format!("{}doctor", prefix(fleet)), format!("{}ev", prefix(fleet)));
        let mut forbidden = Vec::new();
        for (command, arguments) in COMMANDS {
            // A connection that was refused a subscription must not go on in that mode.
            let mut connection = self.open()?;
            let mut sent = redis::cmd(command);
            for argument in arguments {
                sent.arg(match *argument {
                    "KEY" => key.as_str(),
                    "CHANNEL" => channel.as_str(),
                    other => other,
                });
            }
            if is_refused(&sent.query::<Value>(&mut connection)) {
                forbidden.push(command);
            }
        }
        if let Some((run, seq)) = seen {
            // The message is no change, so that members ignore it.
            let message = Message { run, before: seq, seq, views: Vec::new() }.encode();
            let mut connection = self.open()?;
            if is_refused(&redis::cmd("PUBLISH").arg(channel).arg(message).query::<Value>(&mut connection)) {
                forbidden.push("PUBLISH");
            }
        }
        Ok(forbidden)
    }
}

fn is_refused<T>(result: &RedisResult<T>) -> bool {
    result.as_ref().err().is_some_and(is_refusal)
}

/// Turns a missing permission into `None`; other errors stay.
fn refused<T>(result: RedisResult<T>) -> RedisResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &RedisError) -> bool {
    error.code() == Some("NOPERM")
}
