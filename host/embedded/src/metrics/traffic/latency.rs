//! How long answers take.

use std::f64::consts::TAU;

use fastrand::Rng;

/// A distribution of times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Latency {
    /// Half of all answers take longer than the median; `sigma` is the standard deviation of the time's logarithm.
    LogNormal { median: f64, sigma: f64 },
    /// Rising pairs of a quantile from 0 to 1 and its time, with straight lines between them.
    Quantiles(Vec<(f64, f64)>),
}

impl Latency {
    pub(super) fn draw(&self, random: &mut Rng) -> f64 {
        match self {
            Self::LogNormal { median, sigma } => {
                // Box and Muller's way from two even draws to a normal one; `1 - x` keeps zero out of the logarithm.
                let length = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
                median * (sigma * length * (TAU * random.f64()).cos()).exp()
            }
            Self::Quantiles(table) => at(table, random.f64()),
        }
    }
}

fn at(table: &[(f64, f64)], quantile: f64) -> f64 {
    let mut before: Option<(f64, f64)> = None;
    for (next, seconds) in table {
        if *next >= quantile {
            return match before {
                Some((last, from)) if next > &last => from + (seconds - from) * (quantile - last) / (next - last),
                _ => *seconds,
            };
        }
        before = Some((*next, *seconds));
    }
    before.map_or(0.0, |(_, seconds)| seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_straight_lines() {
        let table = [(0.5, 0.1), (0.9, 0.5), (0.99, 1.0)];

        assert_eq!((at(&table, 0.2), at(&table, 0.5), at(&table, 1.0)), (0.1, 0.1, 1.0));
        assert!((at(&table, 0.7) - 0.3).abs() < 1e-9);
    }

    #[test]
    fn half_of_a_lognormal_is_above_its_median() {
        let latency = Latency::LogNormal { median: 0.2, sigma: 0.5 };
        let mut random = Rng::with_seed(1);

        let above = (0..10_000).filter(|_| latency.draw(&mut random) > 0.2).count();

        assert!(above.abs_diff(5000) < 500, "{above}");
    }
}
