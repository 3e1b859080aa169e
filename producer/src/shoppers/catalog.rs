//! The shop and its people: everything that is drawn once at the start and looked up ever after.

use std::fmt::Write as _;

use fake::Fake;
use fake::faker::address::en::CountryCode;
use fake::faker::internet::en::UserAgent;
use fake::faker::name::en::LastName;
use rand::{Rng, RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use super::zipf::Zipf;

/// How many texts of a kind are drawn from `fake`: enough variety, and they stay in the cache.
const POOL: usize = 256;

/// The campaigns whose ads lead to the shop, the most visible first.
pub const CAMPAIGNS: [&str; 8] = [
    "spring-sale",
    "brand-search",
    "retargeting",
    "newsletter",
    "influencer",
    "price-engine",
    "app-install",
    "gift-guide",
];

/// The departments of the shop.
pub const CATEGORIES: [&str; 12] = [
    "shoes", "jackets", "shirts", "bags", "watches", "kitchen", "garden", "books", "toys", "outdoor",
    "audio", "beauty",
];

/// What people look for, beside a brand.
const NOUNS: [&str; 16] = [
    "shoes",
    "jacket",
    "shirt",
    "bag",
    "watch",
    "pan",
    "lamp",
    "novel",
    "puzzle",
    "tent",
    "headphones",
    "cream",
    "scarf",
    "backpack",
    "mug",
    "chair",
];

/// Sites that lead to the shop.
pub(crate) const REFERRERS: [&str; 4] = ["google.com", "bing.com", "instagram.com", "news.example"];

pub(crate) const DEVICES: [&str; 3] = ["mobile", "desktop", "tablet"];

pub(crate) const PAGES_OF_HELP: [&str; 4] = ["shipping", "returns", "sizes", "contact"];

/// The length of a UUID in text.
pub(crate) const USER_ID_LEN: usize = 36;

/// Decimal digits, kept ready to be copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    text: [u8; 10],
    len: u8,
}

impl Digits {
    pub(crate) fn new(number: u32) -> Self {
        let mut digits = Self { text: [0; 10], len: 0 };
        for byte in number.to_string().bytes() {
            digits.text[usize::from(digits.len)] = byte;
            digits.len += 1;
        }
        digits
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.len)]
    }
}

#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: Digits,
    pub(crate) category: u8,
    pub(crate) price_cents: u32,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: [u8; USER_ID_LEN],
    pub(crate) country: u8,
    pub(crate) device: u8,
    pub(crate) agent: u8,
}

#[derive(Debug)]
pub(crate) struct Query {
    /// As typed.
    pub(crate) text: String,
    /// As it stands in a URL.
    pub(crate) encoded: String,
}

/// The shop and its people.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) products: Vec<Product>,
    pub(crate) users: Vec<User>,
    pub(crate) countries: Vec<String>,
    pub(crate) agents: Vec<String>,
    pub(crate) queries: Vec<Query>,
    pub(crate) product_popularity: Zipf,
    pub(crate) user_activity: Zipf,
    pub(crate) query_popularity: Zipf,
    pub(crate) campaign_reach: Zipf,
}

impl Catalog {
    /// # Panics
    /// If `users` or `products` is 0.
    pub(crate) fn new(seed: u64, users: u32, products: u32) -> Self {
        // Each kind has its own stream of randomness, so more users do not change the products.
        let mut random = stream(seed, 1);
        let countries = pool(|| CountryCode().fake_with_rng(&mut random));
        let mut random = stream(seed, 2);
        let agents = pool(|| json_text(&UserAgent().fake_with_rng::<String, _>(&mut random)));
        let mut random = stream(seed, 3);
        let queries = (0..POOL).map(|_| Query::new(&mut random)).collect();
        let mut random = stream(seed, 4);
        let products: Vec<Product> = (1..=products).map(|number| Product::new(number, &mut random)).collect();
        let mut random = stream(seed, 5);
        let users: Vec<User> = (0..users).map(|_| User::new(&mut random)).collect();
        Self {
            product_popularity: Zipf::new(products.len() as u32, 0.9),
            user_activity: Zipf::new(users.len() as u32, 0.4),
            query_popularity: Zipf::new(POOL as u32, 0.8),
            campaign_reach: Zipf::new(CAMPAIGNS.len() as u32, 0.7),
            products,
            users,
            countries,
            agents,
            queries,
        }
    }
}

impl Query {
    fn new(random: &mut Xoshiro256PlusPlus) -> Self {
        let brand: String = LastName().fake_with_rng(random);
        let noun = NOUNS[random.random_range(0..NOUNS.len())];
        let text = json_text(&format!("{} {noun}", brand.to_lowercase()));
        Self { encoded: text.replace(' ', "+"), text }
    }
}

impl Product {
    fn new(number: u32, random: &mut Xoshiro256PlusPlus) -> Self {
        // Prices between about 5 and 500, the cheap ones more frequent, ending in 9 cents.
        let exponent = random.random_range(0.7..2.7);
        let price_cents = (10_f64.powf(exponent) * 10.0) as u32 * 10 + 9;
        Self {
            id: Digits::new(number),
            category: (random.next_u32() % CATEGORIES.len() as u32) as u8,
            price_cents,
        }
    }
}

impl User {
    fn new(random: &mut Xoshiro256PlusPlus) -> Self {
        // A random UUID: version 4, variant 1.
        let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
        let hex = format!("{bits:032x}");
        let mut text = String::with_capacity(USER_ID_LEN);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                text.push('-');
            }
            text.push(digit);
        }
        let id = text.into_bytes().try_into().expect("32 digits and 4 hyphens");
        let device = [0, 0, 0, 1, 1, 2][random.random_range(0..6)];
        Self { id, country: random.next_u32() as u8, device, agent: random.next_u32() as u8 }
    }
}

/// An independent source of randomness for one purpose.
pub(crate) fn stream(seed: u64, purpose: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn pool(draw: impl FnMut() -> String) -> Vec<String> {
    std::iter::repeat_with(draw).take(POOL).collect()
}

/// `text` so that it can stand between quotes as it is: what JSON would escape is left out.
fn json_text(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    for part in text.split(|c: char| c.is_control() || c == '"' || c == '\\') {
        let _ = kept.write_str(part);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_users_leave_the_products_as_they_are() {
        let (few, many) = (Catalog::new(7, 10, 50), Catalog::new(7, 1_000, 50));
        let prices = |catalog: &Catalog| catalog.products.iter().map(|p| p.price_cents).collect::<Vec<_>>();
        assert_eq!(prices(&few), prices(&many));
        assert_eq!(few.users[9].id, many.users[9].id);
    }

    #[test]
    fn user_ids_are_uuids_of_version_4() {
        for user in Catalog::new(1, 100, 1).users {
            let text = str::from_utf8(&user.id).unwrap();
            let parts: Vec<&str> = text.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{text}");
        }
    }
}
