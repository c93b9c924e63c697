#pragma once
/// An intrusive balanced search tree whose nodes carry a summary of their subtree.
///
/// Traits gives, as static members: `Node*& left(Node&)`, `Node*& right(Node&)`,
/// `std::uint32_t priority(const Node&)`, `bool less(const Node&, const Node&)` (total) and
/// `void summarize(Node&)` (recomputes the node's summary from itself and its children). The tree
/// owns nothing. Depth is O(log n) expected, as priorities are spread by a hash of
/// a counter: cores have no randomness, and the same calls always give the same tree.

#include <cstdint>

namespace holdfast::lockd {

/// splitmix64's finalizer (Steele, Lea, Flood 2014): spreads a counter over all bits.
[[nodiscard]] constexpr std::uint64_t spread(std::uint64_t counter) {
  std::uint64_t z = counter * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

template <class Node, class Traits>
class Treap {
 public:
  [[nodiscard]] Node* root() const { return root_; }
  [[nodiscard]] bool empty() const { return root_ == nullptr; }

  void insert(Node& node) {
    Traits::left(node) = nullptr;
    Traits::right(node) = nullptr;
    insert(root_, node);
  }
  /// `node` is in the tree and its key has not changed since.
  void erase(Node& node) { erase(root_, node); }
  /// After a change of `node` that leaves its key alone: brings the summaries up to date.
  void refresh(Node& node) { refresh(root_, node); }

  /// The first node, in order, for which `yes` holds; `yes` must be false up to some node and true
  /// from there on.
  template <class Predicate>
  [[nodiscard]] Node* first(Predicate yes) const {
    Node* found = nullptr;
    for (Node* node = root_; node != nullptr;) {
      if (yes(*node)) {
        found = node;
        node = Traits::left(*node);
      } else {
        node = Traits::right(*node);
      }
    }
    return found;
  }
  /// The last node, in order, for which `yes` holds; `yes` must be true up to some node and false
  /// from there on.
  template <class Predicate>
  [[nodiscard]] Node* last(Predicate yes) const {
    Node* found = nullptr;
    for (Node* node = root_; node != nullptr;) {
      if (yes(*node)) {
        found = node;
        node = Traits::right(*node);
      } else {
        node = Traits::left(*node);
      }
    }
    return found;
  }
  /// Visits every node in order. The visitor must not change the tree.
  template <class Visitor>
  void for_each(Visitor visit) const {
    for_each(root_, visit);
  }

 private:
  static void insert(Node*& at, Node& node) {
    if (at == nullptr) {
      at = &node;
    } else if (Traits::priority(node) > Traits::priority(*at)) {
      split(at, node, Traits::left(node), Traits::right(node));
      at = &node;
    } else {
      insert(Traits::less(node, *at) ? Traits::left(*at) : Traits::right(*at), node);
    }
    Traits::summarize(*at);
  }

  static void split(Node* at, const Node& pivot, Node*& below, Node*& above) {
    if (at == nullptr) {
      below = above = nullptr;
      return;
    }
    if (Traits::less(*at, pivot)) {
      below = at;
      split(Traits::right(*at), pivot, Traits::right(*at), above);
    } else {
      above = at;
      split(Traits::left(*at), pivot, below, Traits::left(*at));
    }
    Traits::summarize(*at);
  }

  static void erase(Node*& at, Node& node) {
    if (at == &node) {
      at = merge(Traits::left(node), Traits::right(node));
      return;
    }
    erase(Traits::less(node, *at) ? Traits::left(*at) : Traits::right(*at), node);
    Traits::summarize(*at);
  }

  static Node* merge(Node* below, Node* above) {
    if (below == nullptr) return above;
    if (above == nullptr) return below;
    Node* top = nullptr;
    if (Traits::priority(*below) > Traits::priority(*above)) {
      Traits::right(*below) = merge(Traits::right(*below), above);
      top = below;
    } else {
      Traits::left(*above) = merge(below, Traits::left(*above));
      top = above;
    }
    Traits::summarize(*top);
    return top;
  }

  static void refresh(Node* at, Node& node) {
    if (at != &node)
      refresh(Traits::less(node, *at) ? Traits::left(*at) : Traits::right(*at), node);
    Traits::summarize(*at);
  }

  template <class Visitor>
  static void for_each(Node* at, Visitor& visit) {
    if (at == nullptr) return;
    for_each(Traits::left(*at), visit);
    visit(*at);
    for_each(Traits::right(*at), visit);
  }

  Node* root_ = nullptr;
};

}  // namespace holdfast::lockd
