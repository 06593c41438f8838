//! The tables that are printed.

use crate::{Figures, Load, System};

/// Prints the medians of a load, and their ratios to the first system.
pub(crate) fn print(name: &str, load: Load, measured: &[(System, Vec<Figures>)]) {
    let about = match load {
        Load::Idle { workers } => format!("no action, {workers} workers over IPC"),
        Load::Paced { rate, workers } => {
            format!("{rate} actions/s, one at a time, to {workers} workers over IPC")
        }
        Load::Storm { clients } => format!("as many actions as it takes, to {clients} TCP clients"),
    };
    println!("{name}: {about}");
    if matches!(load, Load::Idle { .. }) {
        println!("  {:36} {:>12}", "", "of a core");
        for (system, rounds) in measured {
            let share = median(rounds, |f| f.usage.cpu.as_secs_f64() / f.seconds * 100.0);
            println!("  {:36} {:>10.3} %", system.title(), share);
        }
        println!();
        return;
    }
    println!(
        "  {:36} {:>12} {:>16} {:>8} {:>10}",
        "", "actions/s", "CPU an action", "ratio", "wake-ups"
    );
    let floor = measured.first().map(|(_, rounds)| median(rounds, Figures::cpu_us_per_action));
    for (system, rounds) in measured {
        let cpu = median(rounds, Figures::cpu_us_per_action);
        let rate = median(rounds, Figures::per_second);
        let ratio = cpu / floor.unwrap_or(f64::NAN);
        let wakeups = median(rounds, Figures::wakeups_per_action);
        println!(
            "  {:36} {:>12.0} {:>13.2} us {:>6.2} x {:>10.2}",
            system.title(),
            rate,
            cpu,
            ratio,
            wakeups
        );
    }
    println!();
}

fn median(rounds: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
