//! What people call the contract's types.

use events::EventType;

use super::names::squeezed;

const TYPES: [(EventType, &[&str]); 10] = [
    (
        EventType::PageView,
        &[
            "pageview",
            "pv",
            "page",
            "view",
            "pageviewed",
            "viewedpage",
            "viewpage",
            "pageload",
            "pageloaded",
            "screen",
            "screenview",
            "visit",
            "pagevisit",
            "impression",
            "viewhomepage",
            "viewcategory",
            "viewitemlist",
            "categoryview",
        ],
    ),
    (
        EventType::Search,
        &[
            "search",
            "searched",
            "productssearched",
            "productsearch",
            "sitesearch",
            "searchperformed",
            "viewsearchresults",
        ],
    ),
    (
        EventType::ProductClick,
        &[
            "productclick",
            "productview",
            "productviewed",
            "productclicked",
            "viewproduct",
            "clickproduct",
            "viewedproduct",
            "viewitem",
            "itemview",
            "itemviewed",
            "selectitem",
            "productdetail",
            "productdetailview",
            "detailview",
            "viewcontent",
        ],
    ),
    (
        EventType::AddToCart,
        &[
            "addtocart",
            "addedtocart",
            "cartadd",
            "addcart",
            "cart",
            "productadded",
            "additem",
            "itemadded",
            "addtobasket",
            "basketadd",
            "addtobag",
            "producttocart",
            "cartitemadded",
        ],
    ),
    (
        EventType::RemoveFromCart,
        &[
            "removefromcart",
            "removedfromcart",
            "deletefromcart",
            "cartremove",
            "removecart",
            "productremoved",
            "removeitem",
            "itemremoved",
            "removefrombasket",
            "removefrombag",
            "cartitemremoved",
        ],
    ),
    (
        EventType::Checkout,
        &[
            "checkout",
            "checkoutstarted",
            "startcheckout",
            "startedcheckout",
            "begincheckout",
            "initiatecheckout",
            "initiatedcheckout",
            "checkoutbegin",
            "checkoutstart",
        ],
    ),
    (
        EventType::Purchase,
        &[
            "purchase",
            "purchased",
            "order",
            "ordercompleted",
            "completedorder",
            "orderplaced",
            "ordercreated",
            "orderpaid",
            "buy",
            "bought",
            "transaction",
            "ecommerceorder",
            "purchasecompleted",
            "sale",
        ],
    ),
    (
        EventType::AdClick,
        &["adclick", "adclicked", "clickad", "bannerclick", "promotionclicked", "selectpromotion"],
    ),
    (EventType::Conversion, &["conversion", "converted", "goal", "goalreached", "goalcompleted"]),
    (EventType::Refund, &["refund", "refunded", "orderrefunded", "orderrefund"]),
];

/// Whether the contract reads a type by itself.
pub(super) fn is_ours(name: &str) -> bool {
    EventType::from_name(name).is_some() || matches!(name, "product_view" | "click")
}

/// The type that a name of theirs means, by its spelling.
pub(super) fn ours(name: &str) -> Option<EventType> {
    let squeezed = squeezed(name);
    let found = TYPES.iter().find(|(_, names)| names.contains(&&*squeezed));
    found.map(|(kind, _)| *kind)
}
