//! One visit to the shop: what the shopper does, and what comes next.

/// What a shopper does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    AdClick,
    Landing,
    Home,
    Category,
    Search,
    ProductClick,
    Product,
    Reviews,
    AddToCart,
    Cart,
    RemoveFromCart,
    Checkout,
    Purchase,
    Conversion,
    Orders,
    Help,
    Leave,
}

/// A product in the cart.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Line {
    pub(crate) product: u32,
    pub(crate) quantity: u8,
}

/// How many different products a cart holds.
pub(crate) const LINES_MAX: u8 = 3;

/// Stands for "not by an ad".
pub(crate) const NO_CAMPAIGN: u8 = u8::MAX;

/// A shopper in the shop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) user: u32,
    /// The product last looked at.
    pub(crate) product: u32,
    /// The number of the event that checked out the cart's first line; the ids of the order come from it.
    pub(crate) order: u64,
    /// Event time of the last event that was stamped with the moment it was made, 0 before the first.
    pub(crate) last_micros: i64,
    pub(crate) cart: [Line; LINES_MAX as usize],
    pub(crate) lines: u8,
    /// Which line is being checked out or paid.
    pub(crate) line: u8,
    pub(crate) campaign: u8,
    pub(crate) step: Step,
}

/// Weights out of 256.
type Choice<const N: usize> = [(u8, Step); N];

const ARRIVAL: Choice<4> = [(64, Step::AdClick), (96, Step::Home), (66, Step::Search), (30, Step::Category)];
const AFTER_LANDING: Choice<4> =
    [(130, Step::ProductClick), (50, Step::Category), (16, Step::Search), (60, Step::Leave)];
const AFTER_HOME: Choice<7> = [
    (86, Step::Category),
    (60, Step::Search),
    (50, Step::ProductClick),
    (12, Step::Orders),
    (8, Step::Help),
    (8, Step::AddToCart), // "buy again" on the home page: a product that was not clicked
    (32, Step::Leave),
];
const AFTER_LIST: Choice<6> = [
    (136, Step::ProductClick),
    (38, Step::Category),
    (28, Step::Search),
    (6, Step::AddToCart),
    (8, Step::Home),
    (40, Step::Leave),
];
const AFTER_PRODUCT: Choice<7> = [
    (62, Step::AddToCart),
    (60, Step::ProductClick),
    (34, Step::Reviews),
    (34, Step::Category),
    (20, Step::Search),
    (6, Step::Help),
    (40, Step::Leave),
];
const AFTER_ADDING: Choice<4> =
    [(150, Step::Cart), (60, Step::ProductClick), (26, Step::Category), (20, Step::Leave)];
const AFTER_CART: Choice<5> = [
    (130, Step::Checkout),
    (40, Step::ProductClick),
    (20, Step::RemoveFromCart),
    (20, Step::Category),
    (46, Step::Leave),
];
const AFTER_SIDE_PAGE: Choice<3> = [(100, Step::Home), (76, Step::Category), (80, Step::Leave)];
const AFTER_CHECKOUT: Choice<3> = [(206, Step::Purchase), (20, Step::Help), (30, Step::Leave)];
const AFTER_FAILURE: Choice<3> = [(120, Step::Leave), (80, Step::Home), (56, Step::Category)];

fn choose<const N: usize>(choice: &Choice<N>, bits: u8) -> Step {
    let mut rest = bits;
    for (weight, step) in choice {
        if rest < *weight {
            return *step;
        }
        rest -= weight;
    }
    choice[N - 1].1
}

impl Visit {
    pub(crate) fn new(user: u32, product: u32, bits: u8) -> Self {
        Self {
            user,
            product,
            order: 0,
            last_micros: 0,
            cart: [Line::default(); LINES_MAX as usize],
            lines: 0,
            line: 0,
            campaign: NO_CAMPAIGN,
            step: choose(&ARRIVAL, bits),
        }
    }

    /// Goes on after a step that went well.
    pub(crate) fn advance(&mut self, bits: u8) {
        self.step = match self.step {
            Step::AdClick => Step::Landing,
            Step::Landing => choose(&AFTER_LANDING, bits),
            Step::Home => choose(&AFTER_HOME, bits),
            Step::Category | Step::Search => choose(&AFTER_LIST, bits),
            Step::ProductClick => Step::Product,
            Step::Product | Step::Reviews => choose(&AFTER_PRODUCT, bits),
            Step::AddToCart => choose(&AFTER_ADDING, bits),
            Step::Cart => choose(&AFTER_CART, bits),
            Step::RemoveFromCart => choose(&AFTER_PRODUCT, bits),
            Step::Checkout => self.next_line(Step::Checkout, choose(&AFTER_CHECKOUT, bits)),
            Step::Purchase => {
                let converts = self.campaign != NO_CAMPAIGN || bits < 16;
                self.next_line(Step::Purchase, if converts { Step::Conversion } else { Step::Leave })
            }
            Step::Orders | Step::Help => choose(&AFTER_SIDE_PAGE, bits),
            Step::Conversion | Step::Leave => Step::Leave,
        };
        let empty_cart = self.lines == 0;
        if empty_cart && matches!(self.step, Step::Checkout | Step::RemoveFromCart) {
            self.step = Step::Category;
        }
        if self.lines == LINES_MAX && self.step == Step::AddToCart {
            self.step = Step::Cart;
        }
    }

    /// Goes on after an answer that was an error: tries again, looks elsewhere or gives up.
    pub(crate) fn stumble(&mut self, bits: u8) {
        if bits < 96 {
            return;
        }
        self.line = 0;
        self.step = choose(&AFTER_FAILURE, bits.rotate_left(3));
    }

    /// Whether the shopper has only just opened the shop.
    pub(crate) fn is_new(&self) -> bool {
        self.last_micros == 0
    }

    fn next_line(&mut self, this: Step, then: Step) -> Step {
        self.line += 1;
        if self.line < self.lines {
            return this;
        }
        self.line = 0;
        then
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight<const N: usize>(choice: &Choice<N>) -> u32 {
        choice.iter().map(|(weight, _)| u32::from(*weight)).sum()
    }

    #[test]
    fn the_weights_of_every_choice_sum_up_to_256() {
        let sums = [
            weight(&ARRIVAL),
            weight(&AFTER_LANDING),
            weight(&AFTER_HOME),
            weight(&AFTER_LIST),
            weight(&AFTER_PRODUCT),
            weight(&AFTER_ADDING),
            weight(&AFTER_CART),
            weight(&AFTER_SIDE_PAGE),
            weight(&AFTER_CHECKOUT),
            weight(&AFTER_FAILURE),
        ];
        assert_eq!(sums, [256; 10]);
    }

    #[test]
    fn every_line_of_the_cart_is_checked_out_and_then_paid() {
        let mut visit = Visit::new(0, 0, 0);
        visit.lines = 3;
        visit.step = Step::Checkout;
        let mut steps = Vec::new();
        while visit.step != Step::Leave {
            steps.push((visit.step, visit.line));
            visit.advance(200);
        }
        let expected: Vec<(Step, u8)> = [Step::Checkout, Step::Purchase]
            .into_iter()
            .flat_map(|step| (0..3).map(move |line| (step, line)))
            .collect();
        assert_eq!(steps, expected);
    }

    #[test]
    fn nobody_checks_out_an_empty_cart() {
        for bits in 0..=u8::MAX {
            let mut visit = Visit::new(0, 0, 0);
            visit.step = Step::Cart;
            visit.advance(bits);
            assert!(!matches!(visit.step, Step::Checkout | Step::RemoveFromCart));
        }
    }
}
