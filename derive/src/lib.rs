//! The derive macro of `samestate::state::Delta`. The documentation of the trait describes it.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Member, parse_macro_input};

/// Derives `Delta`. The patch of a struct contains a patch of each field that changed, and the
/// patch of an enum is the whole new value.
///
/// `#[delta(whole)]` on a type or a field makes the whole new value its patch. `#[delta(skip)]`
/// leaves a field out.
#[proc_macro_derive(Delta, attributes(delta))]
pub fn derive_delta(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    derive(&input).unwrap_or_else(Error::into_compile_error).into()
}

/// The treatment of a field or a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Patched,
    Whole,
    Skipped,
}

fn treatment(attributes: &[Attribute]) -> Result<Treatment, Error> {
    let mut treatment = Treatment::Patched;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("delta")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("whole") {
                treatment = Treatment::Whole;
            } else if meta.path.is_ident("skip") {
                treatment = Treatment::Skipped;
            } else {
                return Err(meta.error("expected `whole` or `skip`"));
            }
            Ok(())
        })?;
    }
    Ok(treatment)
}

fn derive(input: &DeriveInput) -> Result<TokenStream, Error> {
    let fields = match (&input.data, treatment(&input.attrs)?) {
        (_, Treatment::Skipped) => {
            return Err(Error::new(input.span(), "`skip` is for fields of a struct"));
        }
        (Data::Union(_), _) => {
            return Err(Error::new(input.span(), "`Delta` cannot be derived for a union"));
        }
        (Data::Enum(_), _) | (_, Treatment::Whole) => return Ok(whole(input)),
        (Data::Struct(data), Treatment::Patched) => &data.fields,
    };
    by_field(input, fields)
}

/// Implements `Delta` with the whole new value as the patch.
fn whole(input: &DeriveInput) -> TokenStream {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(syn::parse_quote! {
            Self: ::core::clone::Clone
                + ::samestate::state::__serde::Serialize
                + ::samestate::state::__serde::de::DeserializeOwned
                + ::core::marker::Send
                + ::core::marker::Sync
        });
    }
    let (implemented, types, bounds) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #implemented ::samestate::state::Delta for #name #types #bounds {
            type Patch = Self;

            fn diff(&self, before: &Self) -> ::core::option::Option<Self> {
                ::samestate::state::changed(before, self)
            }

            fn apply(
                &mut self,
                patch: Self,
            ) -> ::core::result::Result<(), ::samestate::state::PatchMisfit> {
                *self = patch;
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// A field that is part of the patch.
struct Part<'a> {
    field: &'a Field,
    member: Member,
    whole: bool,
}

impl Part<'_> {
    /// The name in the patch: `_0` for the first field of a tuple struct.
    fn name(&self) -> syn::Ident {
        match &self.member {
            Member::Named(name) => name.clone(),
            Member::Unnamed(index) => format_ident!("_{}", index.index),
        }
    }
}

fn parts(fields: &Fields) -> Result<Vec<Part<'_>>, Error> {
    let mut parts = Vec::new();
    for (field, member) in fields.iter().zip(fields.members()) {
        let treatment = treatment(&field.attrs)?;
        if treatment != Treatment::Skipped {
            parts.push(Part { field, member, whole: treatment == Treatment::Whole });
        }
    }
    Ok(parts)
}

/// Replaces `Self`, which is another type inside the patch.
fn without_self(tokens: TokenStream, name: &syn::Ident) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => TokenTree::Ident(name.clone()),
        TokenTree::Group(group) => {
            let mut replaced = Group::new(group.delimiter(), without_self(group.stream(), name));
            replaced.set_span(group.span());
            TokenTree::Group(replaced)
        }
        other => other,
    };
    tokens.into_iter().map(replace).collect()
}

/// Implements `Delta` with a struct that has an optional patch for each field. Each patch is in an
/// array of length one: a codec writes a bare `None` and a patch that is itself `null` alike.
fn by_field(input: &DeriveInput, fields: &Fields) -> Result<TokenStream, Error> {
    if let Some(parameter) = input.generics.params.first() {
        let why = "`Delta` is derived for a generic struct only with `#[delta(whole)]`; implement \
                   it by hand otherwise";
        return Err(Error::new(parameter.span(), why));
    }
    let parts = parts(fields)?;
    let name = &input.ident;
    let patch = format_ident!("__{name}Patch");
    let visibility = &input.vis;
    let about = format!("The changes of a [`{name}`].");
    let shown = patch.to_string().split_off(2);
    let declared = parts.iter().map(|part| {
        let ty = without_self(part.field.ty.to_token_stream(), name);
        let name = part.name();
        let of = if part.whole {
            quote!(#ty)
        } else {
            let span = part.field.ty.span();
            quote_spanned!(span=> <#ty as ::samestate::state::Delta>::Patch)
        };
        quote! {
            #[serde(default, skip_serializing_if = "::core::option::Option::is_none")]
            #name: ::core::option::Option<[#of; 1]>
        }
    });
    let recorded = parts.iter().filter(|part| !part.whole).map(|part| {
        let (member, ty) = (&part.member, &part.field.ty);
        quote_spanned!(ty.span()=>
            ::samestate::state::Delta::record(&mut self.#member, recording);
        )
    });
    let compared = parts.iter().map(|part| {
        let (name, member) = (part.name(), &part.member);
        let change = if part.whole {
            quote!(::samestate::state::changed(&before.#member, &self.#member))
        } else {
            quote!(::samestate::state::Delta::diff(&self.#member, &before.#member))
        };
        quote!(#name: #change.map(|change| [change]))
    });
    let same = parts.iter().map(|part| {
        let member = &part.member;
        if part.whole {
            quote!(::samestate::state::changed(&before.#member, &self.#member).is_none())
        } else {
            quote!(::samestate::state::Delta::is_same(&self.#member, &before.#member))
        }
    });
    let unchanged = parts.iter().map(|part| {
        let name = part.name();
        quote!(patch.#name.is_none())
    });
    let applied = parts.iter().map(|part| {
        let (name, member) = (part.name(), &part.member);
        let apply = if part.whole {
            quote!(self.#member = change)
        } else {
            quote!(::samestate::state::Delta::apply(&mut self.#member, change)?)
        };
        quote! {
            if let ::core::option::Option::Some([change]) = patch.#name {
                #apply;
            }
        }
    });
    // In a scope of its own, where the patch takes no name from the module.
    Ok(quote! {
        #[allow(
            deprecated,
            non_camel_case_types,
            non_snake_case,
            unreachable_pub,
            unused_qualifications,
            reason = "names and visibility are those of the state"
        )]
        const _: () = {
            #[doc = #about]
            #[derive(
                ::samestate::state::__serde::Serialize,
                ::samestate::state::__serde::Deserialize,
            )]
            #[serde(crate = "::samestate::state::__serde")]
            #visibility struct #patch {
                #(#declared,)*
            }

            #[automatically_derived]
            impl ::core::fmt::Debug for #patch {
                fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    f.write_str(#shown)
                }
            }

            #[automatically_derived]
            impl ::samestate::state::Delta for #name {
                type Patch = #patch;

                fn record(&mut self, recording: bool) {
                    let _ = recording;
                    #(#recorded)*
                }

                fn diff(&self, before: &Self) -> ::core::option::Option<#patch> {
                    let _ = before;
                    let patch = #patch { #(#compared,)* };
                    let unchanged = true #(&& #unchanged)*;
                    (!unchanged).then_some(patch)
                }

                fn is_same(&self, before: &Self) -> bool {
                    let _ = before;
                    true #(&& #same)*
                }

                fn apply(
                    &mut self,
                    patch: #patch,
                ) -> ::core::result::Result<(), ::samestate::state::PatchMisfit> {
                    let _ = &patch;
                    #(#applied)*
                    ::core::result::Result::Ok(())
                }
            }
        };
    })
}
