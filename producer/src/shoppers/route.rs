//! The shop's routes: how each answers, and how long it takes.

/// A route of the shop, as dashboards name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Route {
    /// `/`
    Home,
    /// `/landing/…`, where ads lead.
    Landing,
    /// `/category/…`
    Category,
    /// `/search`
    Search,
    /// `/product/:id`
    Product,
    /// `/product/:id/reviews`
    Reviews,
    /// `/cart`
    Cart,
    /// `/checkout`
    Checkout,
    /// `/payment`
    Payment,
    /// `/account/orders/:id`
    Orders,
    /// `/help/…`
    Help,
}

impl Route {
    /// Every route, in the order of its discriminant.
    pub const ALL: [Self; 11] = [
        Self::Home,
        Self::Landing,
        Self::Category,
        Self::Search,
        Self::Product,
        Self::Reviews,
        Self::Cart,
        Self::Checkout,
        Self::Payment,
        Self::Orders,
        Self::Help,
    ];

    /// What incidents call it: the templated route, or for a group of routes their common beginning.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Home => "/",
            Self::Landing => "/landing",
            Self::Category => "/category",
            Self::Search => "/search",
            Self::Product => "/product/:id",
            Self::Reviews => "/product/:id/reviews",
            Self::Cart => "/cart",
            Self::Checkout => "/checkout",
            Self::Payment => "/payment",
            Self::Orders => "/account/orders/:id",
            Self::Help => "/help",
        }
    }

    /// The route called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.name() == name)
    }

    const fn behaviour(self) -> Behaviour {
        let (median_ms, sigma, error_factor, other): (f64, f64, f64, &'static [(u16, f64)]) = match self {
            Self::Home => (18.0, 0.45, 0.6, &[(304, 0.08)]),
            Self::Landing => (24.0, 0.45, 0.6, &[(302, 0.03), (404, 0.004)]),
            Self::Category => (32.0, 0.50, 0.8, &[(304, 0.05), (404, 0.002)]),
            Self::Search => (65.0, 0.70, 1.4, &[(400, 0.004), (429, 0.003)]),
            Self::Product => (28.0, 0.50, 0.9, &[(304, 0.04), (404, 0.012), (410, 0.002)]),
            Self::Reviews => (45.0, 0.60, 1.2, &[(404, 0.006)]),
            Self::Cart => (22.0, 0.45, 0.8, &[(409, 0.010)]),
            Self::Checkout => (120.0, 0.55, 1.6, &[(400, 0.010), (409, 0.008)]),
            Self::Payment => (240.0, 0.60, 2.0, &[(402, 0.030), (408, 0.004)]),
            Self::Orders => (40.0, 0.50, 1.0, &[(401, 0.020), (403, 0.005), (404, 0.005)]),
            Self::Help => (12.0, 0.40, 0.4, &[(304, 0.15), (404, 0.010)]),
        };
        Behaviour { median_ms, sigma, error_factor, other }
    }
}

/// How a route behaves on a good day.
struct Behaviour {
    median_ms: f64,
    /// Of the logarithm of the latency.
    sigma: f64,
    /// Its share of server errors in relation to `error_rate`.
    error_factor: f64,
    /// Redirects and client errors with their shares; what is left answers 200.
    other: &'static [(u16, f64)],
}

/// How server errors split up.
const SERVER_ERRORS: [(u16, f64); 4] = [(500, 0.50), (503, 0.25), (502, 0.15), (504, 0.10)];

/// A route's answers as tables, so that a draw costs a few comparisons and no floating point.
#[derive(Debug)]
pub(crate) struct Responses {
    /// Upper bounds of 2^32, rising, with their status; 200 first, as most draws end there.
    statuses: Vec<(u32, u16)>,
    /// Quantiles of the latency in tenths of a millisecond; 257 of them, to interpolate between.
    latency_tenths: Vec<u32>,
}

const QUANTILES: u32 = 256;

impl Responses {
    /// The answers of `route` when an average route fails with `error_rate` (a share, 0 to 1).
    pub(crate) fn new(route: Route, error_rate: f64) -> Self {
        let behaviour = route.behaviour();
        let failing = (error_rate * behaviour.error_factor).clamp(0.0, 1.0);
        let mut shares: Vec<(u16, f64)> =
            behaviour.other.iter().map(|(status, share)| (*status, share * (1.0 - failing))).collect();
        shares.extend(SERVER_ERRORS.iter().map(|(status, part)| (*status, part * failing)));
        let fine = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
        let mut bound = fine;
        let mut statuses = vec![(of_u32(bound), 200)];
        for (status, share) in shares {
            bound += share;
            statuses.push((of_u32(bound), status));
        }
        let latency_tenths = (0..=QUANTILES)
            .map(|at| {
                let share = (f64::from(at) / f64::from(QUANTILES)).clamp(0.000_5, 0.999_5);
                let milliseconds = behaviour.median_ms * (behaviour.sigma * normal_quantile(share)).exp();
                (milliseconds * 10.0).round() as u32
            })
            .collect();
        Self { statuses, latency_tenths }
    }

    pub(crate) fn status(&self, bits: u32) -> u16 {
        for (bound, status) in &self.statuses {
            if bits < *bound {
                return *status;
            }
        }
        // Only the last of 2^32 values gets here, and where no server errors are wanted it must be none.
        200
    }

    /// Tenths of a millisecond.
    pub(crate) fn latency_tenths(&self, bits: u16) -> u32 {
        let (at, fraction) = (usize::from(bits >> 8), u32::from(bits & 0xff));
        let (low, high) = (self.latency_tenths[at], self.latency_tenths[at + 1]);
        low + (high - low) * fraction / 256
    }
}

/// A server error while a route is failing.
pub(crate) fn incident_status(bits: u32) -> u16 {
    let mut bound = 0.0;
    for (status, share) in SERVER_ERRORS {
        bound += share;
        if bits < of_u32(bound) {
            return status;
        }
    }
    500
}

pub(crate) fn of_u32(share: f64) -> u32 {
    (share * (f64::from(u32::MAX) + 1.0)) as u32
}

/// The standard normal distribution's quantile by bisection of its distribution function; only used for tables.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if normal_share_below(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The share of a standard normal variable below `x`, by its Taylor series around 0 (exact to 1e-10 for |x| ≤ 5).
fn normal_share_below(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for k in 1..200 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + sum * (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_distribution_are_the_known_ones() {
        for (share, quantile) in [(0.5, 0.0), (0.975, 1.959_964), (0.025, -1.959_964), (0.999, 3.090_232)] {
            assert!((normal_quantile(share) - quantile).abs() < 1e-5, "{share}: {}", normal_quantile(share));
        }
    }

    #[test]
    fn latency_rises_with_the_draw_and_its_middle_is_the_median() {
        for route in Route::ALL {
            let responses = Responses::new(route, 0.01);
            let tenths: Vec<u32> = (0..=u16::MAX).map(|bits| responses.latency_tenths(bits)).collect();
            assert!(tenths.is_sorted());
            assert_eq!(tenths[0x8000], (route.behaviour().median_ms * 10.0) as u32);
        }
    }

    #[test]
    fn the_share_of_server_errors_is_what_was_asked_times_the_routes_factor() {
        for route in Route::ALL {
            let responses = Responses::new(route, 0.1);
            let draws = 1_u32 << 20;
            let errors = (0..draws).filter(|at| responses.status(at << 12) >= 500).count();
            let share = errors as f64 / f64::from(draws);
            assert!((share - 0.1 * route.behaviour().error_factor).abs() < 1e-4, "{}: {share}", route.name());
        }
    }

    #[test]
    fn without_an_error_rate_no_draw_is_a_server_error() {
        for route in Route::ALL {
            let responses = Responses::new(route, 0.0);
            assert!(responses.status(u32::MAX) < 500);
            assert_eq!(responses.status(0), 200);
        }
    }

    #[test]
    fn a_route_is_found_by_its_name() {
        for route in Route::ALL {
            assert_eq!(Route::from_name(route.name()), Some(route));
        }
        assert_eq!(Route::from_name("/nowhere"), None);
    }
}
