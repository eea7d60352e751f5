"""The management API: the part of Supabase's that its command line uses, and Outdial's additions."""
