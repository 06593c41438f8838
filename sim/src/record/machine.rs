//! The machine a run is measured on.

use std::time::{SystemTime, UNIX_EPOCH};

use samestate_report::Machine;

/// Describes this machine and this program for the record.
pub fn this_machine() -> Machine {
    let cores = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        cpu: cpu_model().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        os: format!("{} {}", std::env::consts::OS, release.trim()).trim().to_owned(),
        samestate: env!("CARGO_PKG_VERSION").to_owned(),
        debug_build: cfg!(debug_assertions),
    }
}

fn cpu_model() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// An instant as RFC 3339 writes it in UTC, to the second: `2026-11-22T15:03:47Z`.
pub fn utc(instant: SystemTime) -> String {
    let seconds = instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

/// The same to the millisecond: `2026-11-22T15:03:47.250Z`.
pub fn utc_exactly(instant: SystemTime) -> String {
    let millis = instant.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis();
    format!("{}.{millis:03}Z", utc(instant).trim_end_matches('Z'))
}

/// The date that many days after 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the day that not every year has comes last.
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097; // of 400 years
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_are_written_as_the_calendar_has_them() {
        let at = |seconds| utc(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00Z");
        let exactly = utc_exactly(UNIX_EPOCH + Duration::from_millis(1_005));
        assert_eq!(exactly, "1970-01-01T00:00:01.005Z");
    }

    #[test]
    fn the_machine_has_a_core_and_a_name() {
        let machine = this_machine();
        assert!(machine.cores > 0 && !machine.cpu.is_empty() && !machine.os.is_empty());
    }
}
