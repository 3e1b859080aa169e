//! Where names lie in a record: each object or array that is of interest, and what its members mean.

/// A place that members lie in: the record itself, or an object or array in it.
pub(crate) type Scope = u8;

/// The record itself.
pub(crate) const ROOT: Scope = 0;
/// How many places are told apart: more than [`NAMED_MAX`], and few enough for a byte.
const SCOPES_MAX: usize = 250;
/// How many places the names of a mapping may lead into.
pub(crate) const NAMED_MAX: usize = 150;
/// How many members are told apart.
const NODES_MAX: usize = 500;

const BUCKETS: usize = 1024;
const EMPTY: u16 = u16::MAX;
/// Stands for no name, and for no place.
const NONE: u8 = u8::MAX;

/// Members by the place they lie in and their name.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// What each place is inside of.
    parents: Vec<Scope>,
    /// Open addressing, at most half full.
    buckets: Box<[u16; BUCKETS]>,
}

#[derive(Debug, Clone)]
struct Node {
    scope: Scope,
    key: Box<str>,
    name: u8,
    inside: Scope,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    name: u8,
    inside: Scope,
}

impl Member {
    /// The id of its name, if it means something.
    #[inline]
    pub(crate) fn name(self) -> Option<u8> {
        (self.name != NONE).then_some(self.name)
    }

    /// The place that it is itself, if some of its own members mean something.
    #[inline]
    pub(crate) fn inside(self) -> Option<Scope> {
        (self.inside != NONE).then_some(self.inside)
    }
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), parents: vec![ROOT], buckets: Box::new([EMPTY; BUCKETS]) }
    }

    /// Gives a path of members, joined by dots, its name; false where there is no room.
    pub(crate) fn name(&mut self, path: &str, name: u8) -> bool {
        let mut scope = ROOT;
        let mut rest = path;
        while let Some((key, further)) = rest.split_once('.') {
            let Some(inside) = self.enter(scope, key).filter(|_| self.parents.len() <= NAMED_MAX) else {
                return false;
            };
            scope = inside;
            rest = further;
        }
        self.member(scope, rest, name)
    }

    /// Gives a member of a place its name; false where there is no room.
    pub(crate) fn member(&mut self, scope: Scope, key: &str, name: u8) -> bool {
        let Some(at) = self.node(scope, key) else { return false };
        self.nodes[at].name = name;
        true
    }

    /// The place that a member is, made if need be; `None` where there is no room.
    pub(crate) fn enter(&mut self, scope: Scope, key: &str) -> Option<Scope> {
        let at = self.node(scope, key)?;
        if self.nodes[at].inside == NONE {
            if self.parents.len() >= SCOPES_MAX {
                return None;
            }
            self.nodes[at].inside = self.parents.len() as Scope;
            self.parents.push(scope);
        }
        Some(self.nodes[at].inside)
    }

    /// What a place lies in.
    #[inline]
    pub(crate) fn parent(&self, scope: Scope) -> Scope {
        self.parents[usize::from(scope)]
    }

    /// How many places there are.
    pub(crate) fn scopes(&self) -> Scope {
        self.parents.len() as Scope
    }

    /// The ids of names of members that have members of interest themselves.
    pub(crate) fn names_with_members(&self) -> impl Iterator<Item = u8> {
        self.nodes.iter().filter(|node| node.name != NONE && node.inside != NONE).map(|node| node.name)
    }

    /// The member of that name, if it is known.
    #[inline]
    pub(crate) fn find(&self, scope: Scope, key: &str) -> Option<Member> {
        let mut bucket = bucket(scope, key.as_bytes());
        loop {
            let at = self.buckets[bucket];
            if at == EMPTY {
                return None;
            }
            let node = &self.nodes[usize::from(at)];
            if node.scope == scope && *node.key == *key {
                return Some(Member { name: node.name, inside: node.inside });
            }
            bucket = (bucket + 1) % BUCKETS;
        }
    }

    fn node(&mut self, scope: Scope, key: &str) -> Option<usize> {
        let mut bucket = bucket(scope, key.as_bytes());
        loop {
            let at = self.buckets[bucket];
            if at == EMPTY {
                break;
            }
            let node = &self.nodes[usize::from(at)];
            if node.scope == scope && *node.key == *key {
                return Some(usize::from(at));
            }
            bucket = (bucket + 1) % BUCKETS;
        }
        let at = self.nodes.len();
        if at >= NODES_MAX {
            return None;
        }
        self.nodes.push(Node { scope, key: key.into(), name: NONE, inside: NONE });
        self.buckets[bucket] = at as u16;
        Some(at)
    }
}

/// Mixes the place and the length with the first and the last eight bytes, which tell most names apart.
#[inline]
fn bucket(scope: Scope, text: &[u8]) -> usize {
    let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (text.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29)).wrapping_add(text.len() as u64 | u64::from(scope) << 32);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_may_have_a_name_and_members_of_its_own() {
        let mut tree = Tree::new();
        tree.name("referrer", 1);
        tree.name("referrer.url", 2);
        tree.name("referrer.0", 3);
        let referrer = tree.find(ROOT, "referrer").unwrap();
        let inside = referrer.inside().unwrap();
        assert_eq!((referrer.name(), tree.parent(inside)), (Some(1), ROOT));
        assert_eq!(tree.find(inside, "url").unwrap().name(), Some(2));
        assert_eq!(tree.find(inside, "0").unwrap().name(), Some(3));
        assert_eq!(tree.find(ROOT, "url"), None);
    }

    #[test]
    fn what_finds_no_room_is_not_there() {
        let mut tree = Tree::new();
        let deepest = (0..).map_while(|n| tree.enter(ROOT, &n.to_string())).last().unwrap();
        assert_eq!(usize::from(deepest), SCOPES_MAX - 1);
        let named = (0..).take_while(|n| tree.member(deepest, &n.to_string(), 0)).count();
        assert!(named < NODES_MAX && tree.find(deepest, &named.to_string()).is_none());
        assert!(tree.find(deepest, "0").is_some());
    }
}
